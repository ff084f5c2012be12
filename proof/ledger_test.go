package proof_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger is what was acknowledged: it must be true for ever after.
type ledger struct {
	mu      sync.Mutex
	revoked []string          // access tokens
	events  map[string]string // ids of events that an answer named, with their types
	ended   map[string]bool   // sids
	roles   []string          // notes of changes of roles
	alone   map[string]int    // how many tokens were revoked one by one, by sid or client
}

func (l *ledger) note(write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	write()
}

func payload(t *testing.T, token string) []byte {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// checkLists asks for every list once, and looks for the bit of each token.
func (l *ledger) checkLists(t *testing.T, n *node) {
	t.Helper()
	lists := map[string][]byte{}
	for _, token := range l.revoked {
		var claims struct {
			Status struct {
				List struct {
					Index int    `json:"idx"`
					URI   string `json:"uri"`
				} `json:"status_list"`
			}
		}
		if err := json.Unmarshal(payload(t, token), &claims); err != nil {
			t.Fatal(err)
		}
		at := claims.Status.List
		if lists[at.URI] == nil {
			lists[at.URI] = n.list(strings.TrimPrefix(at.URI, issuer))
		}
		if lists[at.URI][at.Index/8]>>(at.Index%8)&1 != 1 {
			t.Errorf("the list lacks the bit %d of an acknowledged revocation", at.Index)
		}
	}
}

// list fetches and inflates a status list.
func (n *node) list(path string) []byte {
	n.t.Helper()
	resp, err := n.http.Get(n.url + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		n.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, body, err)
	}
	var claims struct {
		List struct {
			Bits string `json:"lst"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload(n.t, string(body)), &claims); err != nil {
		n.t.Fatal(err)
	}
	packed, err := base64.RawURLEncoding.DecodeString(claims.List.Bits)
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		n.t.Fatal(err)
	}
	bits, err := io.ReadAll(r)
	if err != nil {
		n.t.Fatal(err)
	}
	return bits
}

// lockedBuffer gathers what all the servers logged.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(l.b.String(), "\n")
}

// checkAudit waits for the audit log to have everything: the lease of a
// publisher that was killed has to run out first, which takes 40 s.
func (l *ledger) checkAudit(t *testing.T, logged *lockedBuffer) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		missing := l.missing(logged.lines())
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the audit log lacks %d events: %.2000s", len(missing), strings.Join(missing, "\n"))
		}
		<-time.After(500 * time.Millisecond)
	}
}

// missing are the acknowledged facts that no line tells of.
func (l *ledger) missing(lines []string) (missing []string) {
	seen := map[string]string{}
	ended, notes, alone := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, line := range lines {
		var e struct {
			Type    string `json:"msg"`
			Event   string `json:"event"`
			Session string `json:"sid"`
			Client  string `json:"client_id"`
			Note    string `json:"note"`
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.Event == "" || seen[e.Event] != "" {
			continue
		}
		seen[e.Event] = e.Type
		switch {
		case e.Type == "session_ended":
			ended[e.Session] = true
		case e.Type == "roles_changed":
			notes[e.Note] = true
		case e.Type == "token_revoked" && e.Session == "":
			alone[e.Client]++
		case e.Type == "token_revoked":
			alone[e.Session]++
		}
	}
	for id, what := range l.events {
		if seen[id] != what {
			missing = append(missing, what+" "+id)
		}
	}
	for sid := range l.ended {
		if !ended[sid] {
			missing = append(missing, "session_ended "+sid)
		}
	}
	for _, note := range l.roles {
		if !notes[note] {
			missing = append(missing, "roles_changed "+note)
		}
	}
	for of, count := range l.alone {
		if alone[of] < count {
			missing = append(missing, fmt.Sprintf("token_revoked of %s: %d of %d", of, alone[of], count))
		}
	}
	return missing
}
