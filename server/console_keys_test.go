package server_test

import (
	"strings"
	"testing"

	"jeton/keys"
	"jeton/storage"
)

// ring is what there is of a use, by state.
func (n *node) ring(use string) map[keys.State]string {
	all := make(map[keys.State]string)
	for _, k := range n.grants.Keys.List(n.clock.Now()) {
		if k.Use == use {
			all[k.State] = k.KeyID
		}
	}
	return all
}

// toldOfKey is the note of the latest event of a kind, by root.
func (b *browser) toldOfKey(t testing.TB, kind string) (note string) {
	t.Helper()
	must(t, b.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Event](row)
		if e := rec.Value; e.Type == kind && e.Actor == "u-root" && e.Source == "127.0.0.1" {
			note = e.Note
		}
		return err
	}))
	return note
}

func kid(t testing.TB, token string) string {
	return segment(t, token, 0)["kid"].(string)
}

func TestConsoleRotatesAndRemovesKeys(t *testing.T) {
	b := console(t, options{})
	login := b.node.login()
	old := login.str("access_token")
	before := b.ring(keys.UseSig)
	b.tells(string(b.page("/console/keys").body), "act=rotate-key", "act=remove-key&amp;kid="+before[keys.Current], "act=remove-key&amp;kid="+b.ring(keys.UseRefresh)[keys.Current])

	asked := b.page("/console/act?act=rotate-key")
	b.tells(string(asked.body), "<dt>Signs now</dt><dd><code>"+before[keys.Current], "<dt>Would take over</dt><dd><code>"+before[keys.Next])
	for name, a := range map[string]answer{
		"without a reason": b.submitTo(asked, "/console/act", "when", "now", "reason", " "),
		"without a choice": b.submitTo(asked, "/console/act", "when", "soon", "reason", "x"),
	} {
		if a.StatusCode != 400 || b.ring(keys.UseSig)[keys.Current] != before[keys.Current] {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	done := b.submitTo(asked, "/console/act", "when", "known", "reason", "yearly")
	if done.StatusCode != 200 || done.title() != "Keys" || !strings.Contains(b.toldOfKey(t, "key_rotated"), before[keys.Next]) || !strings.HasSuffix(b.toldOfKey(t, "key_rotated"), ": yearly") {
		t.Errorf("%d %s %q", done.StatusCode, done.body, b.toldOfKey(t, "key_rotated"))
	}
	if now := b.ring(keys.UseSig); now[keys.Current] != before[keys.Current] || kid(t, b.node.login().str("access_token")) != before[keys.Current] {
		t.Errorf("it signs already: %v", now)
	}
	if again := b.submitTo(asked, "/console/act", "when", "now", "reason", "yearly"); again.StatusCode != 409 || b.ring(keys.UseSig)[keys.Current] != before[keys.Current] {
		t.Errorf("the form of before: %d %s", again.StatusCode, again.body)
	}
	asked = b.page("/console/act?act=rotate-key")
	b.tells(string(asked.body), "under way already", "<dt>Takes over</dt><dd><code>"+before[keys.Next])
	b.submitTo(asked, "/console/act", "when", "now", "reason", "it leaked")
	if now := b.ring(keys.UseSig); now[keys.Current] != before[keys.Next] || now[keys.Retired] != before[keys.Current] || !b.active(old) {
		t.Fatalf("%v", now)
	}
	fresh := b.node.login()
	if kid(t, fresh.str("access_token")) != before[keys.Next] {
		t.Error("a login is signed with the key of before")
	}

	asked = b.page("/console/act?act=remove-key&kid=" + before[keys.Current])
	b.tells(string(asked.body), "<dt>It is</dt><dd>retired</dd>", "<dt>Sessions whose access token is under it</dt><dd>2 sessions</dd>", "the next refresh gives a token under another key")
	if a := b.submitTo(asked, "/console/act", "reason", ""); a.StatusCode != 400 || !b.active(old) {
		t.Errorf("without a reason: %d", a.StatusCode)
	}
	b.submitTo(asked, "/console/act", "reason", "it leaked")
	if note := b.toldOfKey(t, "key_removed"); b.active(old) || !b.active(fresh.str("access_token")) || b.ring(keys.UseSig)[keys.Retired] != "" || !strings.HasSuffix(note, ": it leaked") {
		t.Errorf("%v %q", b.ring(keys.UseSig), note)
	}
	if next := b.node.refresh(login.str("refresh_token")); next.StatusCode != 200 || kid(t, next.str("access_token")) != before[keys.Next] {
		t.Errorf("the session: %d %s", next.StatusCode, next.body)
	}
	if a := b.submitTo(asked, "/console/act", "reason", "it leaked"); a.StatusCode != 404 {
		t.Errorf("again: %d %s", a.StatusCode, a.body)
	}

	t.Run("of refresh tokens", func(t *testing.T) {
		of := b.ring(keys.UseRefresh)[keys.Current]
		asked := b.page("/console/act?act=remove-key&kid=" + of)
		b.tells(string(asked.body), "<dt>Signs</dt><dd>refresh tokens</dd>", "<dt>Sessions that cannot go on</dt><dd>3 sessions</dd>", "The next key signs at once in its place")
		b.submitTo(asked, "/console/act", "reason", "x")
		if a := b.node.refresh(fresh.str("refresh_token")); a.StatusCode != 400 || b.ring(keys.UseRefresh)[keys.Current] == of {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("by the API, with a reason", func(t *testing.T) {
		b.operator("POST", "/keys/rotate", `{"now":true,"reason":"drill"}`).ok(t, 200)
		found := false
		must(t, b.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
			rec, err := storage.Decode[storage.Event](row)
			found = found || rec.Value.Type == "key_rotated" && strings.HasSuffix(rec.Value.Note, ": drill")
			return err
		}))
		if a := b.operator("POST", "/keys/rotate", `{"reason":"a\nb"}`); !found || a.StatusCode != 400 {
			t.Errorf("%v %d", found, a.StatusCode)
		}
	})
	t.Run("not the same twice", func(t *testing.T) {
		asked := b.page("/console/act?act=remove-key&kid=" + b.ring(keys.UseSig)[keys.Next])
		b.node.operator("POST", "/keys/rotate", `{"now":true}`).ok(t, 200)
		if a := b.submitTo(asked, "/console/act", "reason", "x"); a.StatusCode != 409 {
			t.Errorf("a key that signs since the page was opened: %d %s", a.StatusCode, a.body)
		}
	})
}
