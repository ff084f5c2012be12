package proof_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// backedUp is what happened around a backup that was made under load.
type backedUp struct {
	file string
	// before is one session a user that was there when it was made, and went
	// on: its generations in order. gone are those of them that were ended.
	before []*story
	gone   []*story
	// after are sessions that began later; revoked ones among them.
	after []*story
	// machine is a client's own token of before, late one of after.
	machine, late string
}

// TestRestoredBackupForgetsNothing makes a backup under load, goes on, revokes,
// loses the machine, and restores the backup elsewhere. Nothing that was ended
// is accepted again, at no endpoint and by no status list; nor is what was
// spent, which the backup knows as good.
func TestRestoredBackupForgetsNothing(t *testing.T) {
	const users = 8
	p := newPlace(t, users)
	n := p.start()
	b := backUnderLoad(t, p, n, users)
	n.kill() // the machine is gone, and all its directory with it

	q := &place{t: t, dir: t.TempDir()}
	copyFile(t, filepath.Join(p.dir, "master.key"), filepath.Join(q.dir, "master.key"))
	copyFile(t, b.file, filepath.Join(q.dir, "jeton.db"))
	refusedToStart(t, q)
	os.Remove(filepath.Join(q.dir, "jeton.db"))
	q.run("", "store", "restore", b.file)
	m := q.start()
	for _, s := range append(append(b.before, b.after...), b.gone...) {
		dead(t, m, s)
	}
	for what, token := range map[string]string{"before": b.machine, "after": b.late} {
		if m.active(token) {
			t.Errorf("a client's own token of %s the backup is active", what)
		}
		listed(t, m, token)
	}
	// Who logs in now is served, by keys and lists of now.
	a := m.login("strict", "user0")
	if !m.active(a.Access) {
		t.Error("a token of after the restore is not active")
	}
	if bit(t, m, a.Access) {
		t.Error("a token of after the restore is revoked in its list")
	}
	if again := m.refresh("strict", a.Token); again.status != 200 {
		t.Errorf("a session of after the restore: %+v", again)
	}
	q.run("", "store", "check")
}

// TestRestoreBesideTheNewerStore restores in place, where the newer store is
// whole: what lived lives, what was ended stays ended.
func TestRestoreBesideTheNewerStore(t *testing.T) {
	const users = 4
	p := newPlace(t, users)
	n := p.start()
	b := backUnderLoad(t, p, n, users)
	n.kill()
	p.run("", "store", "restore", b.file)
	n = p.start()
	for _, s := range b.gone {
		dead(t, n, s)
	}
	for _, s := range append(b.before, b.after...) {
		if s.revoked {
			dead(t, n, s)
			continue
		}
		if !n.active(s.access) || bit(t, n, s.access) {
			t.Error("an access token that nobody revoked is refused")
		}
		if a := n.refresh("strict", s.tokens[len(s.tokens)-1]); a.status != 200 {
			t.Errorf("a session that nobody ended: %+v", a)
		}
		if a := n.refresh("strict", s.tokens[0]); a.status != 400 {
			t.Errorf("a spent token: %+v", a)
		}
	}
}

// backUnderLoad keeps sessions refreshing while a backup is made, and goes on
// until each has moved past it; then ends some.
func backUnderLoad(t *testing.T, p *place, n *node, users int) *backedUp {
	t.Helper()
	b := &backedUp{file: filepath.Join(t.TempDir(), "backup.db")}
	own := func() string {
		return n.post("/token", "api", "grant_type", "client_credentials").Access
	}
	b.machine = own()
	for i := range users {
		b.before = append(b.before, enter(n, i), enter(n, i))
	}
	var made atomic.Bool
	var wg sync.WaitGroup
	for _, s := range b.before {
		wg.Go(func() {
			for more := 3; more > 0; {
				a := n.refresh("strict", s.tokens[len(s.tokens)-1])
				if a.status != 200 {
					t.Errorf("under load: %+v", a)
					return
				}
				s.tokens, s.access = append(s.tokens, a.Token), a.Access
				if made.Load() {
					more--
				}
			}
		})
	}
	p.run("", "store", "backup", b.file)
	made.Store(true)
	wg.Wait()
	for i := range users {
		b.after = append(b.after, enter(n, i))
	}
	b.late = own()
	for _, s := range b.before[:users] {
		if a := n.post("/revoke", "strict", "token", s.tokens[len(s.tokens)-1]); a.status != 200 || n.active(s.access) {
			t.Fatalf("revoke: %+v", a)
		}
		s.revoked = true
	}
	b.gone, b.before = b.before[:users], b.before[users:]
	s := b.after[0]
	if a := n.post("/revoke", "strict", "token", s.tokens[0]); a.status != 200 {
		t.Fatalf("revoke: %+v", a)
	}
	s.revoked = true
	return b
}

func enter(n *node, user int) *story {
	a := n.login("strict", fmt.Sprintf("user%d", user))
	return &story{tokens: []string{a.Token}, access: a.Access}
}

// dead holds all that a session ever was given to be refused.
func dead(t *testing.T, n *node, s *story) {
	t.Helper()
	if n.active(s.access) {
		t.Error("an access token is active")
	}
	listed(t, n, s.access)
	// Every generation: the backup knows one of them as good, nobody knows which.
	for i, token := range s.tokens {
		if a := n.refresh("strict", token); a.status != 400 || a.Error != "invalid_grant" {
			t.Errorf("generation %d of %d: %+v", i+1, len(s.tokens), a)
		}
	}
}

// listed wants an access token to be revoked in its status list.
func listed(t *testing.T, n *node, access string) {
	t.Helper()
	if !bit(t, n, access) {
		t.Error("the status list does not say that the token is revoked")
	}
}

// bit reads a token's bit where the token says that it is.
func bit(t *testing.T, n *node, access string) bool {
	t.Helper()
	var c struct {
		Status struct {
			List struct {
				Index int    `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	claimsOf(t, access, &c)
	resp, err := n.http.Get(n.url + strings.TrimPrefix(c.Status.List.URI, issuer))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", c.Status.List.URI, resp.StatusCode, err)
	}
	var l struct {
		Status struct {
			List string `json:"lst"`
		} `json:"status_list"`
	}
	claimsOf(t, string(body), &l)
	packed, err := base64.RawURLEncoding.DecodeString(l.Status.List)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(r)
	if err != nil || c.Status.List.Index/8 >= len(bits) {
		t.Fatalf("the list has %d bytes: %v", len(bits), err)
	}
	return bits[c.Status.List.Index/8]&(1<<(c.Status.List.Index%8)) != 0
}

func claimsOf(t *testing.T, token string, claims any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, claims)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refusedToStart wants a server not to take a backup for its store.
func refusedToStart(t *testing.T, p *place) {
	t.Helper()
	out, err := p.command("serve", "--listen", "127.0.0.1:0").CombinedOutput()
	if _, ended := err.(*exec.ExitError); !ended || !bytes.Contains(out, []byte("is a backup, of ")) || !bytes.Contains(out, []byte("jeton store restore")) {
		t.Fatalf("a server on a backup: %v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
