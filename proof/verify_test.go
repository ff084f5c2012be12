package proof_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/verify"
)

// api is a process of its own that verifies tokens by package verify.
type api struct {
	url  string
	http http.Client
}

// startAPIs builds the API of examples/ and runs it n times.
func startAPIs(t *testing.T, n int, issuer string, more ...string) []*api {
	t.Helper()
	program := filepath.Join(t.TempDir(), "api")
	if out, err := exec.Command("go", "build", "-o", program, "jeton/examples/api").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var all []*api
	for range n {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), append(more, "API_ISSUER="+issuer, "API_LISTEN=127.0.0.1:0")...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		line, err := bufio.NewReader(stderr).ReadString('\n')
		url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if err != nil || !ok {
			t.Fatalf("the API did not start: %s, %v", line, err)
		}
		go io.Copy(io.Discard, stderr)
		all = append(all, &api{url: url})
	}
	return all
}

// get says how the API answers a token, and why it refuses.
func (a *api) get(t *testing.T, token string) (int, string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// standalone starts a server whose issuer is its own address.
func standalone(t *testing.T, users int) (*place, *node) {
	p := newPlace(t, users)
	return p, p.startWith(ownIssuer)
}

func ownIssuer(cmd *exec.Cmd) {
	cmd.Env = slices.DeleteFunc(cmd.Env, func(line string) bool { return strings.HasPrefix(line, "JETON_ISSUER=") })
}

// soon waits until both APIs answer so. How soon that is the bench prints; here
// it only has to happen before the lists would be polled.
func soon(t *testing.T, what string, apis []*api, token string, want int) {
	t.Helper()
	for _, a := range apis {
		end := time.Now().Add(40 * time.Second) // a wait takes 50 s
		for {
			got, body := a.get(t, token)
			if got == want {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %s answers %d %s, want %d", what, a.url, got, body, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// Whatever ends a token ends it at APIs that only look at their lists, in every
// process, and nothing else with it.
func TestL11_V8_WhatEndsATokenEndsItAtTheAPIs(t *testing.T) {
	p, n := standalone(t, 4)
	apis := startAPIs(t, 2, n.url)
	tokens := make([]answer, 4)
	for i, user := range []string{"user0", "user1", "user2", "user3"} {
		tokens[i] = n.login("strict", user)
		soon(t, "before", apis, tokens[i].Access, 200)
	}
	sibling := n.refresh("strict", tokens[0].Token)
	soon(t, "before", apis, sibling.Access, 200)

	if a := n.post("/revoke", "strict", "token", tokens[0].Access); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	soon(t, "an access token that was revoked", apis, tokens[0].Access, 401)
	soon(t, "its sibling", apis, sibling.Access, 200)
	if a := n.post("/revoke", "strict", "token", sibling.Token); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	soon(t, "logout", apis, sibling.Access, 401)
	p.run("", "user", "disable", "user1")
	soon(t, "a disabled user", apis, tokens[1].Access, 401)
	p.run("", "session", "revoke", "--user", "user2", "--reason", "test")
	soon(t, "an operator", apis, tokens[2].Access, 401)
	n.refresh("strict", tokens[3].Token)
	n.refresh("strict", tokens[3].Token)
	soon(t, "reuse", apis, tokens[3].Access, 401)
}

// A role that is lost is lost at the APIs, and the user stays logged in.
func TestALostRoleIsLostAtTheAPIs(t *testing.T) {
	p, n := standalone(t, 1)
	p.run("", "user", "roles", "user0", "--role", "ROLE_USER,ROLE_ADMIN")
	apis := startAPIs(t, 2, n.url)
	before := n.login("lenient", "user0")
	soon(t, "before", apis, before.Access, 200)
	p.run("", "user", "roles", "user0", "--role", "ROLE_USER")
	soon(t, "a token with the role", apis, before.Access, 401)
	after := n.refresh("lenient", before.Token)
	if after.status != 200 {
		t.Fatalf("the session ended: %+v", after)
	}
	soon(t, "the next token", apis, after.Access, 200)
	for _, a := range apis {
		if _, body := a.get(t, after.Access); !strings.Contains(body, `"roles":["ROLE_USER"]`) {
			t.Errorf("the API was told %s", body)
		}
	}
}

// While the server is away APIs go on, and when it is back they follow again.
func TestAPIsWhileTheServerIsAway(t *testing.T) {
	p, n := standalone(t, 2)
	apis := startAPIs(t, 2, n.url)
	one, two := n.login("strict", "user0"), n.login("strict", "user1")
	soon(t, "before", apis, one.Access, 200)
	soon(t, "before", apis, two.Access, 200)
	issuer := n.url
	n.kill()
	for range 5 {
		soon(t, "away", apis, two.Access, 200)
	}
	p.run("", "session", "revoke", "--user", "user0", "--reason", "test") // on the store itself
	n = p.startWith(func(cmd *exec.Cmd) {
		ownIssuer(cmd)
		cmd.Args = append(cmd.Args, "--listen", strings.TrimPrefix(issuer, "http://"))
	})
	if n.url != issuer {
		t.Fatalf("%s listens again at %s", issuer, n.url)
	}
	soon(t, "what was revoked meanwhile", apis, one.Access, 401)
	soon(t, "what was not", apis, two.Access, 200)
	fresh := n.login("strict", "user1")
	soon(t, "a new token", apis, fresh.Access, 200)
}

// The real server's tokens and lists, changed on the way.
func TestL12_TamperedStatusIsRefused(t *testing.T) {
	_, n := standalone(t, 1)
	token := n.login("strict", "user0").Access
	v, err := verify.New(verify.Options{Issuer: n.url, Audience: []string{n.url}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	got, err := v.Verify(t.Context(), token)
	if err != nil || got.ClientID != "strict" || !got.HasScope("read") || !got.HasRole("ROLE_USER") || got.Session == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(c map[string]any){
		"another place": func(c map[string]any) { c["status"].(map[string]any)["status_list"].(map[string]any)["idx"] = 1 },
		"no status":     func(c map[string]any) { delete(c, "status") },
	} {
		var c map[string]any
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		change(c)
		text, _ := json.Marshal(c)
		forged := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text) + "." + parts[2]
		if _, err := v.Verify(context.Background(), forged); !errors.Is(err, verify.ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refresh := n.login("strict", "user0").Token
	if _, err := v.Verify(t.Context(), refresh); !errors.Is(err, verify.ErrType) {
		t.Errorf("a refresh token: %v", err)
	}
}
