package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFlows runs what docs/FLOWS.md tells people to type. Where it opens a
// browser, a walker goes through the pages, and types in where it ended.
func TestFlows(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "FLOWS.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d samples", len(blocks))
	}
	var script strings.Builder
	script.WriteString("set -eu -o pipefail\n")
	asks := regexp.MustCompile(`(?m)\bread -r\b.*\n.`)
	for i, m := range blocks {
		// They are pasted: what follows a read would be taken for its answer, and
		// exit would close the reader's shell.
		if asks.Match(m[1]) || regexp.MustCompile(`\bexit\b`).Match(m[1]) {
			t.Errorf("sample %d cannot be pasted:\n%s", i+1, m[1])
		}
		fmt.Fprintf(&script, "echo 'sample %d' >&2\n%s\n", i+1, m[1])
	}

	document, certificate := documentSite(t, "http://127.0.0.1/cb")
	s := newServer(t, "JETON_CLIENT_DOCUMENT_HOSTS=127.0.0.1", "JETON_CLIENT_DOCUMENT_SCOPES=openid,notes", "JETON_OPEN_CLIENT_RESOURCES=https://notes.example.com/mcp",
		"JETON_OUTBOUND_ALLOW=127.0.0.0/8", "SSL_CERT_FILE="+certificate,
		"JETON_CLIENT_REGISTRATION=token", "JETON_REGISTRATION_SCOPES=openid,notes")
	typed, typing := io.Pipe()
	jar, err := cookiejar.New(nil) // one browser for all of it
	if err != nil {
		t.Fatal(err)
	}
	browser := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		address := s.browse(t, jar, r.FormValue("url"))
		go fmt.Fprintln(typing, address)
	}))
	defer browser.Close()
	defer typing.Close()
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	program := "#!/bin/sh\nexec curl -sf --data-urlencode \"url=$1\" " + browser.URL + "\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command("bash", "-c", script.String())
	cmd.Dir = s.dir
	cmd.Env = append(s.environ(), "PATH="+bin+":"+filepath.Dir(binary)+":"+os.Getenv("PATH"), "ISSUER="+s.issuer,
		"JETON_STORE="+s.store, "USERNAME="+username, "PASSWORD="+password, "DOCUMENT="+document)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(stdin, typed)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
