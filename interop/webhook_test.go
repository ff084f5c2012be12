package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// A receiver that verifies SETs with jwx, against the published key set and for
// every algorithm. Shown to us as an access token, a SET is worth nothing.
func TestS12_S14_JWXReceivesWebhooks(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			sets := make(chan string, 100)
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Authorization") != "Bearer for-the-siem" {
					t.Errorf("%v %v", err, r.Header)
				}
				w.WriteHeader(http.StatusAccepted)
				sets <- string(body)
			}))
			defer receiver.Close()
			dir := t.TempDir()
			config := filepath.Join(dir, "jeton.yaml")
			text := fmt.Sprintf("outbound-allow: [127.0.0.1]\nwebhooks:\n  - name: siem\n    url: %s\n    audience: https://siem.example\n"+
				"    events: [session_ended]\n    bearer_token_file: token\n", receiver.URL)
			for name, text := range map[string]string{config: text, filepath.Join(dir, "token"): "for-the-siem\n"} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, ctx := newServer(t, "JETON_SIGNING_ALG="+alg, "JETON_CONFIG="+config), contextOf(t)
			token := s.login(t, ctx)
			s.run(t, "", "session", "revoke", "--user", username, "--reason", "laptop stolen")
			set := <-sets

			published, err := jwk.Fetch(ctx, s.jwks())
			if err != nil {
				t.Fatal(err)
			}
			verified, err := jwt.ParseString(set, jwt.WithKeySet(published), jwt.WithIssuer(s.issuer), jwt.WithAudience("https://siem.example"),
				jwt.WithRequiredClaim("jti"), jwt.WithRequiredClaim("iat"), jwt.WithRequiredClaim("sub_id"))
			if err != nil {
				t.Fatal(err)
			}
			var happened map[string]any
			if err := verified.Get("events", &happened); err != nil {
				t.Error(err)
			}
			ended, _ := happened["https://schemas.openid.net/secevent/caep/event-type/session-revoked"].(map[string]any)
			if ended["initiating_entity"] != "admin" || ended["type"] != "session_ended" {
				t.Errorf("events %v", happened)
			}
			message, err := jws.ParseString(set)
			if err != nil {
				t.Fatal(err)
			}
			header := message.Signatures()[0].ProtectedHeaders()
			typ, _ := header.Type()
			if used, _ := header.Algorithm(); typ != "secevent+jwt" || used.String() != alg {
				t.Errorf("typ %q, alg %v", typ, used)
			}
			if strings.Contains(set, token.AccessToken) || strings.Contains(set, token.RefreshToken) {
				t.Error("a token is told")
			}
			if s.active(t, set) {
				t.Error("a SET counts as an access token")
			}
		})
	}
}

// active asks /introspect about a token.
func (s *server) active(t *testing.T, token string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.issuer+"/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", resp.StatusCode, body, err)
	}
	return strings.Contains(string(body), `"active":true`)
}

// The receiver in the documents does what they say of it.
func TestWebhookSample(t *testing.T) {
	t.Parallel()
	node := needNode(t, "node")
	doc, err := os.ReadFile(filepath.Join("..", "docs", "OPERATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, sample, ok := strings.Cut(string(doc), "```js\nimport { createServer }")
	sample, _, ends := strings.Cut("import { createServer }"+sample, "```")
	if !ok || !ends {
		t.Fatal("there is no sample")
	}
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "jeton.yaml")
	text := fmt.Sprintf("outbound-allow: [127.0.0.1]\nwebhooks:\n  - name: siem\n    url: http://127.0.0.1:%d\n    audience: https://siem.example.com\n    events: [session_ended]\n", port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, ctx := newServer(t, "JETON_CONFIG="+config), contextOf(t)
	sample = strings.NewReplacer("https://login.example.com", s.issuer, "8080", strconv.Itoa(port)).Replace(sample)
	cmd := exec.CommandContext(ctx, node, "--import", "./webcrypto.mjs", "--input-type=module", "-")
	cmd.Dir, cmd.Stdin, cmd.Stderr = nodeDir, strings.NewReader(sample), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	sendsTooMuch(t, fmt.Sprintf("127.0.0.1:%d", port))
	s.login(t, ctx)
	s.run(t, "", "session", "revoke", "--user", username, "--reason", "laptop stolen")
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "event-type/session-revoked") {
			return
		}
	}
	t.Error("the sample ended without an event")
}

// sendsTooMuch is a stranger with an endless body, and one who goes away in the
// middle of theirs. The first has to be cut off.
func sendsTooMuch(t *testing.T, address string) {
	t.Helper()
	var c net.Conn
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if c, err = net.Dial("tcp", address); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<30)
	c.SetDeadline(time.Now().Add(time.Minute))
	part := make([]byte, 64<<10)
	for sent := 0; ; sent += len(part) {
		if _, err := c.Write(part); err != nil {
			break
		}
		if sent > 64<<20 {
			t.Fatal("a body of 64 MiB is read")
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
		c.Close()
	}
}
