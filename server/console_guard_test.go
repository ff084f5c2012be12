package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"jeton/accounts"
	"jeton/clients"
	"jeton/keys"
	"jeton/storage"
)

// guarded adds clients that only the machine itself may change, by what makes them so.
func (n *node) guarded() []string {
	n.operator("POST", "/clients", `{"client_id":"ops","client_secret":"`+opsSecret+`","grant_types":["client_credentials"],"scope":"read jeton:admin","admin":true}`).ok(n.t, 201)
	n.operator("POST", "/clients", `{"client_id":"flagged","grant_types":["client_credentials"],"admin":true}`).ok(n.t, 201)
	n.operator("POST", "/clients", `{"client_id":"teller","grant_types":["client_credentials"],"scope":"jeton:events"}`).ok(n.t, 201)
	return []string{"ops", "flagged", "teller"}
}

// What the console may not do to a client it neither offers nor asks about.
func TestConsoleOffersNoSecretOfAClientThatAdministers(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	for _, id := range b.guarded() {
		b.operatorCall("POST", "/clients/"+id+"/secret", `{"keep_former_for":"1h"}`)
		before := b.client(id)
		refused := func(acts ...string) {
			t.Helper()
			page := string(b.page("/console/client?id=" + id).body)
			for _, act := range acts {
				if strings.Contains(page, "act="+act) {
					t.Errorf("%s: the page offers %s", id, act)
				}
				a := b.page("/console/act?act=" + act + "&id=" + id)
				if a.StatusCode != 403 || !strings.Contains(string(a.body), "on the machine itself") || strings.Contains(string(a.body), "<dt>Sessions") {
					t.Errorf("%s %s: %d %s", id, act, a.StatusCode, a.body)
				}
			}
			if !strings.Contains(page, "jeton client secret "+id) {
				t.Errorf("%s: the page does not say how", id)
			}
		}
		refused("secret", "end-former", "delete-client", "enable-client")
		if after := b.client(id); before.FormerSecretHash == "" || accounts.ClientTag(after) != accounts.ClientTag(before) || after.SecretHash != before.SecretHash {
			t.Errorf("%s: changed", id)
		}
		b.tells(string(b.page("/console/client?id="+id).body), "act=disable-client", "<dt>The former until</dt>")
		b.deed("/console/act?act=disable-client&id="+id, "it leaked")
		refused("secret", "end-former", "delete-client", "enable-client")
		b.tells(string(b.page("/console/client?id="+id).body), "jeton client enable "+id)
	}
	if a := b.page("/console/act?act=secret&id=spa"); a.StatusCode != 400 || !strings.Contains(string(a.body), "has no secret") {
		t.Errorf("a public client: %d %s", a.StatusCode, a.body)
	}
	if a := b.page("/console/act?act=secret&id=nobody"); a.StatusCode != 404 {
		t.Errorf("no client: %d", a.StatusCode)
	}
}

// What a new secret ends is told to those who may make one.
func TestPreviewOfASecretIsGuardedAsTheActIs(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.consoleToken("root", "through the looking-glass")
	n.bearer("POST", "/preview", `{"act":"set_secret","client_id":"ops"}`, token).want(t, http.StatusForbidden, "access_denied")
	n.bearer("POST", "/preview", `{"act":"set_secret","client_id":"app"}`, token).ok(t, 200)
	n.operator("POST", "/preview", `{"act":"set_secret","client_id":"ops"}`).ok(t, 200)
	n.operator("POST", "/preview", `{"act":"set_secret","client_id":"spa"}`).want(t, http.StatusBadRequest, "invalid_request")
	n.bearer("DELETE", "/clients/ops/former-secret", "", token).want(t, http.StatusForbidden, "access_denied")
}

var seenField = regexp.MustCompile(`<input type="hidden" name="seen" value="([^"]*)"`)

// What a form carries to tell a change is the same whatever the secret is: of one
// chosen by hand, a hash could be guessed at.
func TestNothingOfASecretIsInTheFormForTheNext(t *testing.T) {
	b := console(t, options{})
	b.operatorCall("POST", "/clients/app/secret", `{"client_secret":"`+appSecret+`"}`)
	c := b.client("app")
	seen := func() string {
		t.Helper()
		a := b.page("/console/act?act=secret&id=app")
		m := seenField.FindSubmatch(a.body)
		if m == nil {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if strings.Contains(string(a.body), clients.HashSecret("seen "+c.SecretHash)) || strings.Contains(string(a.body), c.SecretHash) {
			t.Error("a hash of the secret is on the page")
		}
		return string(m[1])
	}
	first := seen()
	other := c
	other.SecretHash, other.FormerSecretHash = clients.HashSecret("x"), clients.HashSecret("y")
	if first != accounts.ClientTag(other) {
		t.Error("it hangs on the secret")
	}
	// At the same instant, and the same secret again: another one nevertheless.
	b.operatorCall("POST", "/clients/app/secret", `{"client_secret":"`+appSecret+`"}`)
	if second := seen(); second == first {
		t.Error("it does not tell that the secret was set again")
	}
}

// sameMoment sends a form n times at once and sorts the answers by their status.
func (b *browser) sameMoment(n int, page answer, fields ...string) map[int][]answer {
	b.t.Helper()
	var all sync.WaitGroup
	start, answers := make(chan struct{}), make([]answer, n)
	for i := range n {
		one := *b
		all.Go(func() { <-start; answers[i] = one.submitTo(page, "/console/act", fields...) })
	}
	close(start)
	all.Wait()
	by := make(map[int][]answer)
	for _, a := range answers {
		by[a.StatusCode] = append(by[a.StatusCode], a)
		if words := string(a.body); a.StatusCode == 409 && !strings.Contains(words, "Nothing was done: look again") && !strings.Contains(words, "already") {
			b.t.Errorf("409 without a word: %s", a.body)
		}
	}
	return by
}

// Of operators who have seen the same and press at the same moment one does it.
func TestOfFormsThatComeAtTheSameMomentOneDoesIt(t *testing.T) {
	t.Parallel()
	const many = 12
	b := console(t, options{alg: "ES256"})
	t.Run("rotate", func(t *testing.T) {
		before, kids := b.ring(keys.UseSig), len(b.grants.Keys.List(b.clock.Now()))
		got := b.sameMoment(many, b.page("/console/act?act=rotate-key"), "when", "now", "reason", "drill")
		after := b.ring(keys.UseSig)
		if len(got[200]) != 1 || len(got[409]) != many-1 || after[keys.Current] != before[keys.Next] || len(b.grants.Keys.List(b.clock.Now())) != kids+1 {
			t.Errorf("%d did, %d were refused: before %v, after %v", len(got[200]), len(got[409]), before, after)
		}
	})
	t.Run("remove", func(t *testing.T) {
		of := b.ring(keys.UseSig)[keys.Current]
		got := b.sameMoment(many, b.page("/console/act?act=remove-key&kid="+of), "reason", "it leaked")
		if len(got[200]) != 1 || len(got[409])+len(got[404]) != many-1 {
			t.Errorf("%d did, %d and %d were refused", len(got[200]), len(got[409]), len(got[404]))
		}
	})
	t.Run("secret", func(t *testing.T) {
		got := b.sameMoment(many, b.page("/console/act?act=secret&id=app"), "keep", "0s", "reason", "yearly")
		if len(got[200]) != 1 || len(got[409]) != many-1 {
			t.Fatalf("%d did, %d were refused", len(got[200]), len(got[409]))
		}
		m := regexp.MustCompile(`<dt>client_secret</dt><dd><code>([^<]+)</code>`).FindSubmatch(got[200][0].body)
		if m == nil || b.client("app").SecretHash != clients.HashSecret(string(m[1])) {
			t.Errorf("the secret that was shown is not that of the client: %s", got[200][0].body)
		}
	})
	t.Run("delete", func(t *testing.T) {
		got := b.sameMoment(many, b.page("/console/act?act=delete-client&id=other"), "reason", "gone")
		if len(got[200]) != 1 || len(got[409])+len(got[404]) != many-1 || b.operatorCall("GET", "/clients/other", "").Code != 404 {
			t.Errorf("%d did, %d and %d were refused", len(got[200]), len(got[409]), len(got[404]))
		}
		told := 0
		must(t, b.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
			rec, err := storage.Decode[storage.Event](row)
			if rec.Value.Type == "client_deleted" && rec.Value.ClientID == "other" {
				told++
			}
			return err
		}))
		if told != 1 {
			t.Errorf("%d events tell of it", told)
		}
	})
	t.Run("a client that has changed since", func(t *testing.T) {
		asked := b.page("/console/act?act=delete-client&id=api")
		b.operatorCall("PATCH", "/clients/api", `{"client_name":"Still needed"}`)
		if a := b.submitTo(asked, "/console/act", "reason", "x"); a.StatusCode != 409 || b.client("api").Disabled {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// RFC 9110 §13.1.1: every act on a client is held to If-Match, and one that is
// refused by it does nothing.
func TestEveryActOnAClientHonoursIfMatch(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	tagOf := func() string { return n.operatorCall("GET", "/clients/app", "").Header().Get("ETag") }
	with := func(method, path, body string, tags ...string) answer {
		return n.asOperator(method, path, body, func(r *http.Request) { r.Header["If-Match"] = tags })
	}
	old := tagOf()
	n.operatorCall("POST", "/clients/app/secret", `{"client_secret":"`+appSecret+`","keep_former_for":"1d"}`)
	for _, act := range []struct{ method, path, body string }{
		{"PATCH", "", `{"client_name":"x"}`},
		{"POST", "/secret", `{}`},
		{"DELETE", "/former-secret", ``},
		{"POST", "/enable", `{}`}, // it is: nothing to do, and yet
		{"POST", "/disable", `{}`},
		{"POST", "/enable", `{}`},
		{"DELETE", "/former-secret", ``}, // likewise
		{"DELETE", "", ``},
	} {
		path := "/clients/app" + act.path
		before, err := n.clients.Find(t.Context(), "app")
		must(t, err)
		for tag, want := range map[string]int{old: 412, `"AAAAAAAAAAAAAAAAAAAAAAAA"`: 412, `"a", "b"`: 400} {
			a := with(act.method, path, act.body, tag)
			if after, err := n.clients.Find(t.Context(), "app"); a.StatusCode != want || err != nil || accounts.ClientTag(after) != accounts.ClientTag(before) || after.SecretHash != before.SecretHash {
				t.Errorf("%s %s, If-Match %s: %d %s, %v", act.method, path, tag, a.StatusCode, a.body, err)
			}
		}
		a := with(act.method, path, act.body, tagOf())
		if a.StatusCode/100 != 2 {
			t.Errorf("%s %s with the right tag: %d %s", act.method, path, a.StatusCode, a.body)
		}
		if act.method+act.path != "DELETE" && a.Header.Get("ETag") != tagOf() {
			t.Errorf("%s %s: the answer has the ETag %s", act.method, path, a.Header.Get("ETag"))
		}
		if a := with(act.method, "/clients/nobody"+act.path, act.body, old); a.StatusCode != 404 {
			t.Errorf("%s of no client: %d", act.method+act.path, a.StatusCode)
		}
	}
	if a := with("GET", "/clients/app", ""); a.StatusCode != 404 {
		t.Errorf("it is there still: %d", a.StatusCode)
	}
	if a := with("DELETE", "/clients/other", "", "*"); a.StatusCode != 204 {
		t.Errorf("any: %d %s", a.StatusCode, a.body)
	}
}
