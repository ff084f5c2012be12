package interop

import (
	"os"
	"os/exec"
	"testing"
)

// needChromium finds the browser that drives the pages.
func needChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const remedy = "there is no Chromium: apt-get install chromium, or run make test, which does it"
	if os.Getenv("CI") == "true" {
		t.Fatal(remedy)
	}
	t.Skip("NOT TESTED: " + remedy)
	return ""
}

// codeServer is a server whose clients log people in with codes.
func codeServer(t *testing.T, settings ...string) *server {
	s := newServer(t, settings...)
	s.run(t, "", "client", "set", clientID, "--grant", "authorization_code,refresh_token,client_credentials,password",
		"--scope", "openid,profile,email,offline_access,read,write",
		"--redirect-uri", "http://127.0.0.1/cb,http://127.0.0.1/callback", "--post-logout-redirect-uri", "http://127.0.0.1:3999/bye")
	s.run(t, "", "client", "set", publicID, "--grant", "authorization_code,refresh_token,password", "--name", "Notes", "--redirect-uri", "http://127.0.0.1/cb")
	return s
}

func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	chromium := needChromium(t)
	codeServer(t).runNode(t, "pages.test.mjs", "INTEROP_CHROMIUM="+chromium)
}

func TestNodeCode(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	s := codeServer(t)
	for _, file := range []string{"code-openid-client.test.mjs", "code-oauth4webapi.test.mjs", "code-passport.test.mjs"} {
		t.Run(file, func(t *testing.T) { s.runNode(t, file) })
	}
}
