package server_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

var (
	typedInput    = regexp.MustCompile(`<input id="([^"]*)" name="[^"]*" type="([^"]*)" value="([^"]*)"([^>]*)>`)
	typedText     = regexp.MustCompile(`(?s)<textarea id="([^"]*)"[^>]*>\n?(.*?)</textarea>`)
	typedChoice   = regexp.MustCompile(`(?s)<select id="([^"]*)"[^>]*>(.*?)</select>`)
	chosenOption  = regexp.MustCompile(`<option value="([^"]*)" selected>`)
	optionOfField = regexp.MustCompile(`<option value="([^"]*)"`)
	faultOfField  = regexp.MustCompile(`<p class="fault" id="([^"]*)-fault">([^<]*)</p>`)
)

// filled is the form for a path as a browser sends it that nobody has typed in,
// and the names of all its fields.
func (a answer) filled(t testing.TB, path string) (url.Values, []string) {
	t.Helper()
	f := url.Values{}
	var names []string
	for _, part := range regexp.MustCompile(`(?s)<form.*?</form>`).FindAllString(string(a.body), -1) {
		if !strings.Contains(part, `method="post" action="`+path) {
			continue
		}
		for _, m := range hiddenField.FindAllStringSubmatch(part, -1) {
			f.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		for _, m := range typedInput.FindAllStringSubmatch(part, -1) {
			names = append(names, html.UnescapeString(m[1]))
			if m[2] != "checkbox" || strings.Contains(m[4], " checked") {
				f.Set(html.UnescapeString(m[1]), html.UnescapeString(m[3]))
			}
		}
		for _, m := range typedText.FindAllStringSubmatch(part, -1) {
			names = append(names, m[1])
			f.Set(m[1], strings.ReplaceAll(html.UnescapeString(m[2]), "\n", "\r\n"))
		}
		for _, m := range typedChoice.FindAllStringSubmatch(part, -1) {
			names = append(names, m[1])
			chosen := chosenOption.FindStringSubmatch(m[2])
			if chosen == nil {
				chosen = optionOfField.FindStringSubmatch(m[2])
			}
			f.Set(m[1], html.UnescapeString(chosen[1]))
		}
		return f, names
	}
	t.Fatalf("no form for %s on the page: %d %s", path, a.StatusCode, a.body)
	return nil, nil
}

// fill sends it with some fields changed; an empty one is cleared.
func (b *browser) fillIn(page answer, path string, fields ...string) answer {
	b.t.Helper()
	f, _ := page.filled(b.t, b.base()+path)
	for i := 0; i < len(fields); i += 2 {
		f.Set(fields[i], fields[i+1])
	}
	to := path
	if strings.HasPrefix(path, "/console/client/settings") {
		to = path + "?" + mustURL(b.t, page.Request.URL.String()).RawQuery
	}
	return b.follow(b.load("POST", to, f))
}

func (a answer) faults() map[string]string {
	at := make(map[string]string)
	for _, m := range faultOfField.FindAllStringSubmatch(string(a.body), -1) {
		at[m[1]] = html.UnescapeString(m[2])
	}
	return at
}

const settingsPath = "/console/client/settings"

func (b *browser) client(id string) storage.Client {
	b.t.Helper()
	c, err := b.clients.Find(b.t.Context(), id)
	must(b.t, err)
	return c
}

func TestConsoleChangesTheSettingsOfAClient(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	login := b.node.login()
	form := b.page(settingsPath + "?id=app")
	if form.StatusCode != 200 || form.title() != "Settings of app" {
		t.Fatalf("%d %s", form.StatusCode, form.body)
	}
	review := b.fillIn(form, settingsPath, "scope", " read ", "client_name", "The app", "access_token_ttl", "10m", "redirect_uris", callback+"\r\n https://app.example/two \r\n")
	b.tells(string(review.body), "<h1>Change the settings of app</h1>", `data-label="From">read write</td><td role="cell" data-label="To">read</td>`, `data-label="From">none</td><td role="cell" data-label="To">10m</td>`,
		`data-label="From">`+callback+`</td><td role="cell" data-label="To">`+callback+"\nhttps://app.example/two</td>", "<dd>1 live session</dd>", "<dd>1 live token</dd>", "the sessions go on")
	if c := b.client("app"); review.StatusCode != 200 || c.Name != "" || len(c.Scopes) != 2 {
		t.Fatalf("looking changed it: %d %+v", review.StatusCode, c)
	}
	if back := b.fillIn(review, settingsPath, "again", "true"); back.title() != "Settings of app" || !strings.Contains(string(back.body), `value="The app"`) || b.client("app").Name != "" {
		t.Errorf("back: %d %s", back.StatusCode, back.body)
	}
	if a := b.fillIn(review, settingsPath, "reason", " "); a.StatusCode != 400 || !strings.Contains(string(a.body), "The reason is missing") || b.client("app").Name != "" {
		t.Errorf("without a reason: %d %s", a.StatusCode, a.body)
	}
	if a := b.fillIn(review, settingsPath, "reason", strings.Repeat("x", 501)); a.StatusCode != 400 || b.client("app").Name != "" {
		t.Errorf("a long reason: %d", a.StatusCode)
	}
	done := b.fillIn(review, settingsPath, "reason", "a new callback")
	c := b.client("app")
	if done.StatusCode != 200 || done.Request.URL.Path != b.base()+"/console/client" || !strings.Contains(string(done.body), "The settings are changed") {
		t.Errorf("%d %s %s", done.StatusCode, done.Request.URL, done.body)
	}
	if c.Name != "The app" || !slices.Equal(c.Scopes, []string{"read"}) || c.AccessTokenTTL.String() != "10m" || !slices.Equal(c.RedirectURIs, []string{callback, "https://app.example/two"}) || c.SecretHash == "" {
		t.Errorf("%+v", c)
	}
	if b.active(login.str("access_token")) {
		t.Error("a token with the scope that is lost lives")
	}
	if next := b.node.refresh(login.str("refresh_token")); next.StatusCode != 200 || next.str("scope") != "read" {
		t.Errorf("the session: %d %s", next.StatusCode, next.body)
	}
	told := false
	must(t, b.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Event](row)
		e := rec.Value
		told = told || e.Type == "client_changed" && e.Actor == "u-root" && e.ClientID == "app" && e.Note == "a new callback" && e.Source == "127.0.0.1"
		return err
	}))
	if !told {
		t.Error("no event tells of it")
	}
	// Sent again, it does nothing: the client is another one now.
	if again := b.fillIn(review, settingsPath, "reason", "a new callback"); again.StatusCode != 409 || b.client("app").Updated != c.Updated {
		t.Errorf("again: %d %s", again.StatusCode, again.body)
	}
	if same := b.fillIn(b.page(settingsPath+"?id=app"), settingsPath); same.StatusCode != 400 || !strings.Contains(string(same.body), "what the settings are already") {
		t.Errorf("without a change: %d %s", same.StatusCode, same.body)
	}
}

func TestSettingsFormSaysWhatIsWrongBesideTheField(t *testing.T) {
	b := console(t, options{})
	before := b.client("app")
	a := b.fillIn(b.page(settingsPath+"?id=app"), settingsPath,
		"client_name", strings.Repeat("n", 256), "access_token_ttl", "soon", "max_sessions", "many", "jwks", "{", "redirect_uris", "http://evil.example/cb\njavascript:alert(1)",
		"cors_origins", "*", "token_endpoint_auth_method", "client_secret_jwt", "password_grant_sunset", "tomorrow", "password_grant_networks", "10.0.0.1/8")
	if a.StatusCode != 400 || !strings.Contains(string(a.body), "Nothing was changed. 9 fields below say what is wrong.") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	faults := a.faults()
	for name, what := range map[string]string{
		"client_name": "255 bytes", "access_token_ttl": "soon", "max_sessions": "Not a number", "jwks": "Not JSON", "redirect_uris": "everything else takes https",
		"cors_origins": "*", "token_endpoint_auth_method": "client_secret_jwt", "password_grant_sunset": "neither a date", "password_grant_networks": "10.0.0.1/8",
	} {
		if !strings.Contains(faults[name], what) || !strings.Contains(string(a.body), name+`-fault" aria-invalid="true"`) {
			t.Errorf("%s: %q", name, faults[name])
		}
	}
	if !strings.Contains(faults["redirect_uris"], "reversed domain name") {
		t.Errorf("one of two faults of a field is missing: %q", faults["redirect_uris"])
	}
	for _, kept := range []string{`value="soon"`, `value="many"`, "javascript:alert(1)</textarea>", `<option value="client_secret_jwt" selected>`} {
		if !strings.Contains(string(a.body), kept) {
			t.Errorf("%s was typed and is gone", kept)
		}
	}
	if none := b.fillIn(b.page(settingsPath+"?id=app"), settingsPath, grantTicks(before.Grants, "")...); none.StatusCode != 400 || !strings.Contains(string(none.body), `<p class="fault">Name at least one of`) {
		t.Errorf("no grant: %d %s", none.StatusCode, none.body)
	}
	if after := b.client("app"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("changed: %+v", after)
	}
}

func grantTicks(grants []string, value string) (fields []string) {
	for _, g := range grants {
		fields = append(fields, "grant_types."+g, value)
	}
	return fields
}

// Who was slower loses nothing of the other's.
func TestSettingsFormOverwritesNothingUnseen(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	form := b.page(settingsPath + "?id=app")
	review := b.fillIn(form, settingsPath, "client_name", "Mine")
	b.operator("PATCH", "/clients/app", `{"audience":["https://api.example"]}`).ok(t, 200)
	for name, a := range map[string]answer{
		"looking": b.fillIn(form, settingsPath, "client_name", "Mine"),
		"doing":   b.fillIn(review, settingsPath, "reason", "x"),
		"blindly": b.fillIn(review, settingsPath, "reason", "x", "seen", ""),
	} {
		if a.StatusCode != 409 || !strings.Contains(string(a.body), "changed since it was looked at") || !strings.Contains(string(a.body), "https://api.example") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if c := b.client("app"); c.Name != "" || len(c.Audience) != 1 {
		t.Errorf("%+v", c)
	}
	t.Run("by the API", func(t *testing.T) {
		seen := b.operatorCall("GET", "/clients/app", "").Header().Get("ETag")
		patch := func(body string, tags ...string) answer {
			return b.asOperator("PATCH", "/clients/app", body, func(r *http.Request) { r.Header["If-Match"] = tags })
		}
		first := patch(`{"client_name":"one"}`, seen)
		if first.StatusCode != 200 || first.Header.Get("ETag") == seen || !regexp.MustCompile(`^"[A-Za-z0-9_-]{24}"$`).MatchString(seen) {
			t.Errorf("%d %v", first.StatusCode, first.Header)
		}
		if a := patch(`{"client_name":"two"}`, seen); a.StatusCode != 412 || a.str("error") != "precondition_failed" || b.client("app").Name != "one" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		for _, tags := range [][]string{{"x"}, {`""`}, {`W/"x"`}, {`"a", "b"`}, {seen, seen}} {
			if a := patch(`{"client_name":"three"}`, tags...); a.StatusCode != 400 || b.client("app").Name != "one" {
				t.Errorf("%q: %d %s", tags, a.StatusCode, a.body)
			}
		}
		patch(`{"client_name":"four"}`, "*").ok(t, 200)
		if a := patch(`{"client_name":"five"}`, first.Header.Get("ETag")); a.StatusCode != 412 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

func (n *node) asOperator(method, path, body string, change func(*http.Request)) answer {
	n.t.Helper()
	r, err := http.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	must(n.t, err)
	r.Header.Set("Content-Type", "application/json")
	change(r)
	w := &recorded{header: make(http.Header), status: 200}
	n.operate.ServeHTTP(w, r)
	a := answer{Response: &http.Response{StatusCode: w.status, Header: w.header}, body: w.body}
	json.Unmarshal(a.body, &a.json)
	return a
}

type recorded struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorded) Header() http.Header { return r.header }
func (r *recorded) WriteHeader(s int)   { r.status = s }
func (r *recorded) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// The form has all that a PATCH takes, and what it says of a client is what the
// client has.
func TestSettingsFormHasEverySetting(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	_, members, _ := strings.Cut(b.operator("PATCH", "/clients/app", `{"?":1}`).str("error_description"), "there are ")
	form := b.page(settingsPath + "?id=app")
	_, fields := form.filled(t, b.base()+settingsPath)
	for _, m := range strings.Split(members, ", ") {
		if has := slices.ContainsFunc(fields, func(f string) bool { return f == m || strings.HasPrefix(f, m+".") }); has == (m == "admin" || m == "public" || m == "reason") {
			t.Errorf("%s: has a field: %v", m, has)
		}
	}
	whole := map[string]any{
		"client_name": "Whole", "scope": "read write", "audience": []string{"https://a.example", "b"}, "exchange_audience": []string{"c"}, "public": true,
		"grant_types": []string{"password", "refresh_token", "authorization_code"}, "redirect_uris": []string{callback}, "post_logout_redirect_uris": []string{callback},
		"cors_origins": []string{"https://spa.example"}, "backchannel_logout_uri": "https://spa.example/out", "consent": "always", "require_pushed_authorization_requests": true,
		"refresh_without_id_token": true, "access_token_ttl": "10m", "refresh_token_ttl": "1d", "session_ttl": "2d", "refresh_retry_window": "0s", "max_sessions": 7,
		"bind_agent": "exact:end", "bind_address": "prefix:step_up", "delivery": "cookie", "cookie_name": "x", "cookie_same_site": "lax", "cookie_path": "/api", "cookie_refresh_path": "/s",
		"password_grant_networks": []string{"10.0.0.0/8"}, "password_grant_scope": "read", "password_grant_sunset": "2027-01-31T00:00:00Z", "dpop_bound_access_tokens": true,
	}
	body, _ := json.Marshal(whole)
	b.operator("POST", "/clients", `{"client_id":"whole",`+string(body[1:])).ok(t, 201)
	form = b.page(settingsPath + "?id=whole")
	sent, _ := form.filled(t, b.base()+settingsPath)
	for name, want := range whole {
		text := fmt.Sprint(want)
		switch want := want.(type) {
		case []string:
			if text = strings.Join(want, "\r\n"); name == "grant_types" {
				text = ""
				for _, g := range want {
					if sent.Get("grant_types."+g) != "true" {
						t.Errorf("%s is not ticked", g)
					}
				}
			}
		case bool:
			if name == "public" {
				name, text = "token_endpoint_auth_method", "none"
			}
		}
		if sent.Get(name) != text {
			t.Errorf("%s: %q, not %q", name, sent.Get(name), text)
		}
	}
	if a := b.fillIn(form, settingsPath); a.StatusCode != 400 || !strings.Contains(string(a.body), "what the settings are already") {
		t.Errorf("untouched: %d %s", a.StatusCode, a.body)
	}
	// All of it cleared, as far as a client can be without.
	cleared := []string{}
	for name := range sent {
		if _, is := whole[name]; is && name != "delivery" && name != "consent" {
			cleared = append(cleared, name, "")
		}
	}
	review := b.fillIn(form, settingsPath, append(cleared, "delivery", "body", "consent", "remembered", "grant_types.authorization_code", "", "token_endpoint_auth_method", "")...)
	if review.title() != "Change the settings of Whole" || !strings.Contains(string(review.body), "Sessions end, with all their tokens") {
		t.Fatalf("%d %v %s", review.StatusCode, review.faults(), review.body)
	}
	made := b.fillIn(review, settingsPath, "reason", "x")
	c := b.client("whole")
	want := storage.Client{ID: "whole", Grants: c.Grants, Created: c.Created, Updated: c.Updated, Epoch: c.Epoch, SecretHash: c.SecretHash}
	var got, wanted map[string]any
	must(t, json.Unmarshal(storage.Encode(c), &got))
	must(t, json.Unmarshal(storage.Encode(want), &wanted))
	delete(got, "consent")
	if fmt.Sprint(got) != fmt.Sprint(wanted) || c.SecretHash == "" || len(c.Grants) != 2 {
		t.Errorf("%v, not %v", got, wanted)
	}
	if !strings.Contains(string(made.body), "<dt>client_secret</dt>") || made.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the secret it got: %d %s", made.StatusCode, made.body)
	}
}

// A form of settings counts only as it was made: for this sign-in, for that
// client, from a page of this server, by who may change it.
func TestW6_W7_W8_SettingsFormIsTakenFromItsOwnPageOnly(t *testing.T) {
	b := console(t, options{})
	form := b.page(settingsPath + "?id=app")
	review := b.fillIn(form, settingsPath, "client_name", "Mine")
	good, _ := review.filled(t, b.base()+settingsPath)
	good.Set("reason", "x")
	other := b.page(settingsPath + "?id=other")
	of, _ := other.filled(t, b.base()+settingsPath)
	for name, try := range map[string]func(url.Values) answer{
		"without a token": func(f url.Values) answer { f.Del("form_token"); return b.load("POST", settingsPath+"?id=app", f) },
		"for another client": func(f url.Values) answer {
			f.Set("seen", of.Get("seen"))
			return b.load("POST", settingsPath+"?id=other", f)
		},
		"another site": func(f url.Values) answer {
			return b.load("POST", settingsPath+"?id=app", f, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		},
		"by GET": func(f url.Values) answer { return b.load("GET", settingsPath+"?id=app&"+f.Encode(), nil) },
	} {
		f := url.Values{}
		for k, v := range good {
			f[k] = v
		}
		if a := try(f); name != "by GET" && a.StatusCode != 403 || b.client("app").Name != "" || b.client("other").Name != "" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	t.Run("the password was shown long ago", func(t *testing.T) {
		b.clock.Add(16 * time.Minute)
		if a := b.load("POST", settingsPath+"?id=app", good); a.StatusCode != 303 || mustURL(t, a.Header.Get("Location")).Path != b.base()+"/login" || b.client("app").Name != "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if a := b.submit(b.page(settingsPath+"?id=app"), "login", "username", "root", "password", password); a.title() != "Settings of app" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("of a client that administers", func(t *testing.T) {
		must(t, b.addClient(accounts.NewClient{ID: "ops", ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("jeton:admin"), Admin: accounts.To(true)}}))
		if a := b.page(settingsPath + "?id=ops"); a.StatusCode != 403 || !strings.Contains(string(a.body), "on the machine itself") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := b.page("/console/client?id=ops"); strings.Contains(string(a.body), "client/settings") || strings.Contains(string(a.body), "delete-client") {
			t.Errorf("it leads there: %s", a.body)
		}
		if a := b.page("/console/act?act=delete-client&id=ops"); a.StatusCode != 403 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		review := b.fillIn(b.page(settingsPath+"?id=app"), settingsPath, "scope", "read jeton:events", "grant_types.password", "")
		if review.StatusCode != 400 && review.StatusCode != 403 {
			t.Errorf("becoming one: %d %s", review.StatusCode, review.body)
		}
	})
}

func TestConsoleAddsAndDeletesClients(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	b.tells(string(b.page("/console/clients").body), `href="`+b.base()+`/console/client/new"`)
	form := b.page("/console/client/new")
	wrong := b.fillIn(form, "/console/client/new", "client_id", `a"b`, "max_sessions", "x", "scope", "a a")
	if f := wrong.faults(); wrong.StatusCode != 400 || f["client_id"] == "" || f["max_sessions"] == "" || f["scope"] == "" || !strings.Contains(string(wrong.body), `value="a&#34;b"`) {
		t.Errorf("%d %v", wrong.StatusCode, f)
	}
	fields := []string{"client_id", "shop", "client_name", "The shop", "scope", "read", "grant_types.client_credentials", "true", "access_token_ttl", "5m"}
	made := b.fillIn(form, "/console/client/new", fields...)
	secret := regexp.MustCompile(`<dt>client_secret</dt><dd><code>([^<]+)</code>`).FindSubmatch(made.body)
	if made.StatusCode != 200 || secret == nil || made.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", made.StatusCode, made.body)
	}
	own := b.node.post("/token", url.Values{"grant_type": {"client_credentials"}}, basic("shop", string(secret[1])))
	if own.StatusCode != 200 || own.json["expires_in"] != 300.0 {
		t.Errorf("%d %s", own.StatusCode, own.body)
	}
	before := b.client("shop")
	if again := b.fillIn(form, "/console/client/new", fields...); again.StatusCode != 409 || again.faults()["client_id"] == "" || strings.Contains(string(again.body), "client_secret</dt>") || b.client("shop").SecretHash != before.SecretHash {
		t.Errorf("again: %d %s", again.StatusCode, again.body)
	}
	if public := b.fillIn(form, "/console/client/new", "client_id", "page", "token_endpoint_auth_method", "none", "grant_types.password", "true"); public.Request.URL.Path != b.base()+"/console/client" || !strings.Contains(string(public.body), "The client is there") {
		t.Errorf("public: %d %s", public.StatusCode, public.body)
	}

	login := b.node.login().str("access_token")
	asked := b.page("/console/act?act=delete-client&id=app")
	b.tells(string(asked.body), "<dd>1 live session</dd>", "It cannot be undone")
	if a := b.submitTo(asked, "/console/act", "reason", ""); a.StatusCode != 400 || !b.active(login) {
		t.Errorf("without a reason: %d", a.StatusCode)
	}
	b.operator("DELETE", "/clients/app", "").ok(t, 204)
	b.clock.Add(time.Second)
	must(t, b.addClient(accounts.NewClient{ID: "app", ClientSettings: accounts.ClientSettings{Grants: accounts.To([]string{"password"})}}))
	if a := b.submitTo(asked, "/console/act", "reason", "x"); a.StatusCode != 409 || b.client("app").ID == "" {
		t.Errorf("another of that id: %d %s", a.StatusCode, a.body)
	}
	if a := b.deed("/console/act?act=delete-client&id=app", "unused"); a.StatusCode != 200 || a.Request.URL.Path != b.base()+"/console/clients" || !strings.Contains(string(a.body), "Deleted.") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if _, err := b.clients.Find(t.Context(), "app"); err == nil {
		t.Error("it is still there")
	}

	asked = b.page("/console/act?act=delete-user&sub=u-alice")
	b.tells(string(asked.body), "Delete alice", "never given to anybody again")
	b.submitTo(asked, "/console/act", "reason", "left")
	if a := b.page("/console/user?sub=u-alice"); a.StatusCode != 404 {
		t.Errorf("alice: %d", a.StatusCode)
	}
}

func TestSettingsOfAClientWithADocument(t *testing.T) {
	b := console(t, options{})
	const id = "https://app.example/client.json"
	c := storage.Client{ID: id, AuthMethod: storage.AuthNone, Grants: []string{"authorization_code"}, RedirectURIs: []string{callback}, Document: &storage.Document{Read: b.clock.Now(), Fresh: b.clock.Now()}}
	_, err := b.store.Commit(t.Context(), storage.Change{Partition: storage.ClientPartition(id), Puts: []storage.Put{storage.ClientPut(c)}})
	must(t, err)
	form := b.page(settingsPath + "?id=" + url.QueryEscape(id))
	_, fields := form.filled(t, b.base()+settingsPath)
	slices.Sort(fields)
	if want := "access_token_ttl bind_address bind_agent max_sessions refresh_retry_window refresh_token_ttl session_ttl"; strings.Join(fields, " ") != want {
		t.Errorf("%q", fields)
	}
	review := b.fillIn(form, settingsPath, "session_ttl", "3d", "scope", "jeton:admin", "redirect_uris", "https://evil.example/")
	b.fillIn(review, settingsPath, "reason", "x")
	if c := b.client(id); c.SessionTTL.String() != "3d" || len(c.Scopes) != 0 || c.RedirectURIs[0] != callback {
		t.Errorf("%+v %s", c, review.body)
	}
}
