package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"jeton/storage"
)

// holder is alice's session through the client app. Tests send what must be
// refused, and the holder proves that each refusal changed nothing.
type holder struct {
	*node
	access, refreshToken string
	rows                 map[string]uint64
}

func (n *node) holder() *holder {
	n.t.Helper()
	h := &holder{node: n}
	a := n.login()
	h.access, h.refreshToken = a.str("access_token"), a.str("refresh_token")
	h.rows = n.stored()
	return h
}

// stored is every session and every event, with its version.
func (n *node) stored() map[string]uint64 {
	n.t.Helper()
	rows := make(map[string]uint64)
	for _, index := range []string{storage.IndexSessions, storage.IndexOutbox} {
		must(n.t, n.store.AllByIndex(n.t.Context(), storage.Query{Index: index}, func(r storage.Row) error {
			rows[index+" "+r.ID] = r.Version
			return nil
		}))
	}
	return rows
}

// descriptionChars are those of RFC 6749 §5.2.
var descriptionChars = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

// wellFormed checks what every refusal has in common, whatever was wrong.
func (a answer) wellFormed(t testing.TB) {
	t.Helper()
	var members map[string]string
	if err := json.Unmarshal(a.body, &members); err != nil {
		t.Fatalf("the body is not an object of strings: %q", a.body)
	}
	if !descriptionChars.MatchString(members["error_description"]) || !regexp.MustCompile(`^[a-z_]+$`).MatchString(members["error"]) || len(members) != 2 {
		t.Errorf("body %s", a.body)
	}
	want := map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	}
	switch a.StatusCode {
	case http.StatusUnauthorized:
		want["Www-Authenticate"] = `Basic realm="jeton", charset="UTF-8"`
	case http.StatusMethodNotAllowed:
		want["Allow"] = http.MethodPost
	case http.StatusServiceUnavailable:
		want["Retry-After"] = "2"
	}
	for name, value := range want {
		if got := a.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if a.Header.Get("Www-Authenticate") != want["Www-Authenticate"] {
		t.Errorf("a challenge with status %d", a.StatusCode)
	}
}

// refused checks a refusal, and that it spent and stored nothing: no session
// and no event is new or changed, and the refresh token still works.
func (h *holder) refused(t testing.TB, a answer, status int, code string) {
	t.Helper()
	a.want(t, status, code)
	a.wellFormed(t)
	if now := h.stored(); !maps.Equal(now, h.rows) {
		t.Fatalf("a refused request changed the store: %d rows, before %d", len(now), len(h.rows))
	}
	h.rotate(t)
}

// rotate refreshes the holder's token.
func (h *holder) rotate(t testing.TB) answer {
	t.Helper()
	a := h.refresh(h.refreshToken)
	a.want(t, 200, "")
	h.access, h.refreshToken = a.str("access_token"), a.str("refresh_token")
	h.rows = h.stored()
	return a
}

// refreshForm is a good refresh, with changes: a pair replaces or adds a
// parameter, and one whose value is "-" is taken out.
func (h *holder) refreshForm(pairs ...string) url.Values {
	f := form("grant_type", "refresh_token", "refresh_token", h.refreshToken)
	for i := 0; i+1 < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			f.Del(pairs[i])
		}
	}
	return f
}

// lines are the log's lines, after the first few. That of a refusal is there
// before its answer; that of a success may come after it.
func (n *node) lines(after int) (list []map[string]any) {
	n.t.Helper()
	for line := range strings.Lines(n.log.String()) {
		var m map[string]any
		must(n.t, json.Unmarshal([]byte(line), &m))
		list = append(list, m)
	}
	return list[after:]
}

// lastLine is the newest line of the log.
func (n *node) lastLine() map[string]any {
	n.t.Helper()
	all := n.lines(0)
	return all[len(all)-1]
}
