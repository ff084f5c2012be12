package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
var files embed.FS

var index = template.Must(template.ParseFS(files, "page/index.html"))

// policy lets the page run its own files, call its own host, and nothing else:
// tokens in cookies keep a script that got in from taking them away, the policy
// keeps it from getting in.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// page serves the page and its files.
func (s *site) page(mux *http.ServeMux) {
	var html bytes.Buffer
	err := index.Execute(&html, map[string]string{
		"Client": s.client, "Issuer": s.issuer.String(), "Host": s.issuer.Host, "Session": s.issuer.Path + "/session",
	})
	if err != nil {
		panic(err) // the template is compiled in
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s.headers(w, "text/html; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(html.Bytes()))
	})
	for name, kind := range map[string]string{
		"session.js": "text/javascript; charset=utf-8", "page.js": "text/javascript; charset=utf-8",
		"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			s.headers(w, kind)
			http.ServeFileFS(w, r, files, "page/"+name)
		})
	}
}

func (s *site) headers(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if s.issuer.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
