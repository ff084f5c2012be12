// Package pages draws the pages that people see: those on the way through a
// login, which are one card on the screen, and those of their account, which
// have a [Frame]. All have one style sheet and the building blocks of blocks.go,
// and no script but the one line that [Answer] may run. Each page is a type; its
// HTML is complete, escaped, and needs nothing from anywhere else.
//
// What a page is answered to, and with which headers beside its [Policy], is
// package server's.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
)

//go:embed *.html style.css
var files embed.FS

// templates are the pages by name, each with the layout around it.
var templates = parse()

// layouts says what stands around each page.
var layouts = map[string][]string{
	"layout": {"login", "choose", "consent", "answer", "notice", "signout", "forgot", "reset", "devicecode", "device"},
	"wide":   {"account", "applications", "password", "activity", "sheet"},
}

func parse() map[string]*template.Template {
	blocks := strings.Replace(text("blocks.html"), "/*style*/", text("style.css"), 1)
	out := make(map[string]*template.Template)
	for layout, names := range layouts {
		for _, name := range names {
			t := template.Must(template.New("layout").Parse(text(layout + ".html")))
			out[name] = template.Must(template.Must(t.Parse(blocks)).Parse(text(name + ".html")))
		}
	}
	return out
}

func text(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return strings.TrimSpace(string(b))
}

// Policy is the Content-Security-Policy of all pages: the style sheet in the
// page by its hash, and nothing else. There is no form-action, because browsers
// hold the redirects that follow a form to it too, and where a client sends its
// users next is not known here.
var Policy = policy(Notice{}.HTML())

// OwnPolicy is that of pages with a [Frame]: their forms lead to this server, and
// to nowhere else after that.
var OwnPolicy = Policy + "; form-action 'self'"

// AnswerPolicy also allows the one script there is.
var AnswerPolicy = policy(Answer{}.HTML())

func policy(html []byte) string {
	p := "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; img-src data:; style-src " + hash(html, "style")
	if bytes.Contains(html, []byte("<script>")) {
		p += "; script-src " + hash(html, "script")
	}
	return p
}

// hash is the CSP source of what stands in the first element of that name.
func hash(html []byte, element string) string {
	_, rest, _ := bytes.Cut(html, []byte("<"+element+">"))
	text, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(text)
	return fmt.Sprintf("'sha256-%s'", base64.StdEncoding.EncodeToString(sum[:]))
}
