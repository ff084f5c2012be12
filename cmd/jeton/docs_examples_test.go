package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Who follows examples/README.md meets what it says: the name of the client on
// the page that asks for consent, and a command that there is.
func TestDocsLeadThroughTheBrowserExample(t *testing.T) {
	doc := read(t, filepath.Join("..", "..", "examples", "README.md"))
	name := regexp.MustCompile(`"client_id": "demo-web", "client_name": "([^"]+)"`).FindStringSubmatch(read(t, "demo.go"))
	if name == nil || !strings.Contains(doc, name[1]+" asks for access") || !strings.Contains(doc, `press "Allow"`) {
		t.Errorf("the page of consent is not named: %q", name)
	}
	line := regexp.MustCompile(`go run ./cmd/jeton (client set demo-web .*)\nBROWSER_LISTEN=([0-9.:]+) `).FindStringSubmatch(doc)
	if line == nil {
		t.Fatal("there is no word about another port")
	}
	cmd, rest, err := (&app{}).rootCommand().Find(strings.Fields(line[1]))
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || cmd.CommandPath() != "jeton client set" {
		t.Errorf("%s: %v", line[1], err)
	}
	for _, want := range []string{"--redirect-uri http://" + line[2] + "/ ", "--post-logout-redirect-uri http://" + line[2] + "/ ", "--cors-origin http://" + line[2]} {
		if !strings.Contains(line[1]+" ", want) {
			t.Errorf("demo-web is not told of the address: %s", want)
		}
	}
}
