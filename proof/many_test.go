package proof_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// TestManyNodes is what three servers on one Redis do together. That they share
// throttles and the ids of assertions and proofs TestAClockThatIsFiveMinutesOff
// tries, and that a token has one successor TestR8_SimultaneousRefreshes.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	m := &many{place: newAlone(t).place}
	for i := range 3 {
		m.sockets = append(m.sockets, filepath.Join(m.dir, fmt.Sprintf("admin%d.sock", i)))
		m.nodes = append(m.nodes, m.startWith(func(cmd *exec.Cmd) {
			cmd.Args = append(cmd.Args, "--metrics-listen", "127.0.0.1:0")
			cmd.Env = append(cmd.Env, "JETON_ADMIN_SOCKET="+m.sockets[i])
		}))
	}
	t.Run("one key", m.oneKey)
	t.Run("caches", m.caches)
	t.Run("waiters", m.waiters)
}

// cacheAge is how old a server's copy of a client may be.
const cacheAge = time.Second

type many struct {
	*place
	nodes   []*node
	sockets []string
}

// at runs a command through the socket of one server.
func (m *many) at(i int, args ...string) ([]byte, error) {
	cmd := m.command(args...)
	cmd.Env = append(cmd.Env, "JETON_ADMIN_SOCKET="+m.sockets[i])
	return cmd.Output()
}

// signing are the keys that tokens are signed with, by their state.
func (m *many) signing(t *testing.T) map[string][]string {
	t.Helper()
	out, err := m.at(0, "key", "list", "--json")
	var all []struct{ Kid, Use, State string }
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keys := make(map[string][]string)
	for _, k := range all {
		if k.Use == "sig" {
			keys[k.State] = append(keys[k.State], k.Kid)
		}
	}
	return keys
}

// All rotate at once, and one key comes of it, which all sign with.
func (m *many) oneKey(t *testing.T) {
	before := m.signing(t)
	var all sync.WaitGroup
	for i := range m.nodes {
		all.Go(func() {
			if out, err := m.at(i, "key", "rotate"); err != nil {
				t.Errorf("server %d: %v\n%s", i, err, out)
			}
		})
	}
	all.Wait()
	// The next one is to sign, and one more waits behind it.
	after := m.signing(t)
	if len(after["current"]) != 1 || after["current"][0] != before["current"][0] || len(after["next"]) != len(before["next"])+1 {
		t.Errorf("three rotations at once: %v, before %v", after, before)
	}
}

// What is changed through one server the others know at once, and of a client
// after a second at the latest.
func (m *many) caches(t *testing.T) {
	tokens := make([]answer, len(m.nodes))
	for i, n := range m.nodes {
		tokens[i] = n.login("strict", "user0")
		n.login("lenient", "user0") // so that all have the client
	}
	m.must(t, 0, "client", "disable", "lenient")
	time.Sleep(cacheAge)
	for i, n := range m.nodes {
		if a := n.post("/token", "lenient", "grant_type", "password", "username", "user0", "password", password); a.Error != "invalid_client" {
			t.Errorf("server %d does not know of a client that was disabled a second ago: %+v", i, a)
		}
	}
	m.must(t, 1, "client", "enable", "lenient")
	time.Sleep(cacheAge)
	for i, n := range m.nodes {
		if a := n.post("/token", "lenient", "grant_type", "password", "username", "user0", "password", password); a.status != http.StatusOK {
			t.Errorf("server %d does not know of a client that was enabled a second ago: %+v", i, a)
		}
	}
	m.must(t, 2, "user", "disable", "user0")
	for i, n := range m.nodes {
		if a := n.refresh("strict", tokens[i].Token); a.Error != "invalid_grant" || n.active(tokens[i].Access) {
			t.Errorf("server %d does not know of a user that was disabled: %+v", i, a)
		}
	}
	m.must(t, 0, "user", "enable", "user0")
}

func (m *many) must(t *testing.T, i int, args ...string) {
	t.Helper()
	if out, err := m.at(i, args...); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// Who waits for a list, at whichever server, is answered when a token of it is
// revoked, through whichever.
func (m *many) waiters(t *testing.T) {
	for through, n := range m.nodes {
		a := n.login("strict", "user0")
		list := listOf(t, a.Access)
		time.Sleep(settled) // of what was revoked before
		var all sync.WaitGroup
		var revoked atomic.Bool
		for i, other := range m.nodes {
			_, etag := other.await(list, "", 0)
			all.Go(func() {
				for again := true; again; {
					begun, status := time.Now(), 0
					// What was revoked before may still be news on a slow machine.
					if status, etag = other.await(list, etag, 50); status == http.StatusOK && !revoked.Load() {
						continue
					}
					if again = false; status != http.StatusOK || time.Since(begun) > 40*time.Second {
						t.Errorf("revoked through server %d, awaited at server %d: %d after %v", through, i, status, time.Since(begun))
					}
				}
			})
			redistest.Until(t, "somebody waits", func() bool { return other.waiting() == "1" })
		}
		revoked.Store(true)
		if a := n.post("/revoke", "strict", "token", a.Token); a.status != http.StatusOK {
			t.Fatalf("revoke: %+v", a)
		}
		all.Wait()
	}
}

// waiting is how many wait for a list.
func (n *node) waiting() string {
	m := regexp.MustCompile(`(?m)^jeton_status_waiting (\d+)$`).FindStringSubmatch(n.figures())
	if m == nil {
		n.t.Fatal("no jeton_status_waiting")
	}
	return m[1]
}
