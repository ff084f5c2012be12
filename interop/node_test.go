package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// nodeDir holds the clients from npm and what drives them.
const nodeDir = "node"

// needNode finds a program that `npm ci` installs, or node itself. A person
// without Node.js can run the other tests; CI must not pass without these.
func needNode(t *testing.T, program string) string {
	t.Helper()
	const remedy = "install Node.js (apt-get install nodejs npm), then: npm ci --prefix interop/node; or run make test, which does both"
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(nodeDir, "node_modules", ".package-lock.json"))
	}
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v: %s", err, remedy)
	}
	t.Skipf("NOT TESTED: %v: %s", err, remedy)
	return ""
}

// runNode runs one file of tests with node's own runner, and tells it of the
// server by variables.
func (s *server) runNode(t *testing.T, file string, env ...string) {
	t.Helper()
	cmd := exec.Command(needNode(t, "node"), "--test", "--import", "./webcrypto.mjs", file)
	cmd.Dir = nodeDir
	cmd.Env = append(s.environ(),
		"INTEROP_ISSUER="+s.issuer, "INTEROP_PUBLIC_ID="+publicID, "INTEROP_CLIENT_ID="+clientID, "INTEROP_CLIENT_SECRET="+clientSecret,
		"INTEROP_USERNAME="+username, "INTEROP_PASSWORD="+password, "INTEROP_AUDIENCE="+audience,
		"INTEROP_BINARY="+binary, "INTEROP_STORE="+s.store)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	t.Logf("%s", out)
}

func TestNode(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	s := newServer(t)
	for _, file := range []string{
		"oauth4webapi.test.mjs", "simple-oauth2.test.mjs", "jwks-rsa.test.mjs", "express-oauth2-jwt-bearer.test.mjs",
		"status-list.test.mjs",
	} {
		t.Run(file, func(t *testing.T) { s.runNode(t, file) })
	}
}

func TestNodeJose(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			newServer(t, "JETON_SIGNING_ALG="+alg).runNode(t, "jose.test.mjs", "INTEROP_ALG="+alg)
		})
	}
}

func TestNodeOpenIDClient(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	s := newServer(t, "JETON_DPOP_NONCE=true")
	private, public := s.keyPair(t)
	s.run(t, "", "client", "add", "signer", "--auth-method", "private_key_jwt", "--jwks", public,
		"--grant", "client_credentials", "--scope", "read")
	s.runNode(t, "openid-client.test.mjs", "INTEROP_PRIVATE_KEY="+private)
}

// keyPair writes an ES256 key of a client: the private JWK, and the set of its
// public half.
func (s *server) keyPair(t *testing.T) (private, public string) {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	key.Set(jwk.AlgorithmKey, "ES256")
	key.Set(jwk.KeyUsageKey, "sig")
	if err := jwk.AssignKeyID(key); err != nil {
		t.Fatal(err)
	}
	published, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(s.dir, "client.jwk"), filepath.Join(s.dir, "client.jwks")
	for path, value := range map[string]any{private: key, public: map[string]any{"keys": []any{published}}} {
		text, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}
