package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"unicode/utf8"

	"jeton/verify"
)

// me says who is logged in: the page cannot read that from a token. It is also
// how a tab finds out whether another one has refreshed already.
func me(w http.ResponseWriter, r *http.Request) {
	token := verify.FromContext(r.Context())
	write(w, map[string]any{"sub": token.Subject, "roles": token.Roles, "scope": token.Scope})
}

// notes holds one note for each user, in memory.
type notes struct {
	mu sync.Mutex
	of map[string]string // by subject
}

const mostNote = 1000 // bytes

func (n *notes) show(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	text := n.of[verify.FromContext(r.Context()).Subject]
	n.mu.Unlock()
	write(w, map[string]any{"note": text})
}

func (n *notes) replace(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostNote))
	if err != nil || !utf8.Valid(text) {
		http.Error(w, "a note is text of at most 1000 bytes", http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of = map[string]string{}
	}
	n.of[verify.FromContext(r.Context()).Subject] = string(text)
	w.WriteHeader(http.StatusNoContent)
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
