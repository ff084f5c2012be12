package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
)

// server is a running jeton.
type server struct {
	*process
	place *place
	http  http.Client
}

func (p *place) start() (*server, error) { return p.startAs(0) }

// startAs starts one of several servers on the store.
func (p *place) startAs(n int) (*server, error) {
	cmd := p.command("serve", "--listen", "127.0.0.1:0", "--issuer", issuer)
	cmd.Env = append(cmd.Env, fmt.Sprintf("JETON_ADMIN_SOCKET=%s", filepath.Join(p.dir, fmt.Sprintf("admin%d.sock", n))))
	proc, err := start(cmd)
	return &server{process: proc, place: p}, err
}

// tokens is a token response.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (s *server) form(client, path string, pairs ...string) request {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return request{url: s.url + path, body: f.Encode(), client: client}
}

func (s *server) refresh(client, token string) request {
	return s.form(client, "/token", "grant_type", "refresh_token", "refresh_token", token)
}

func (s *server) tokens(q request) (t tokens, err error) {
	body, err := q.send(&s.http)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(body, &t)
}

func (s *server) login() request {
	return s.form(clientApp, "/token", "grant_type", "password", "username", "alice", "password", password)
}

// The acts that goals are set for.
const (
	actRefresh    = "refresh"
	actClient     = "client_credentials"
	actIntrospect = "introspect"
	actRevoke     = "revoke"
	actJWKS       = "JWKS"
)

// mostAsked is how many tokens are introspected, in turn.
const mostAsked = 2000

// team are servers on one store, which are asked in turn. More may join.
type team []*server

func (t *team) member(i int) *server { return (*t)[i%len(*t)] }

// acts are what is measured, in order.
func (t *team) acts() ([]act, error) {
	workers := make([]*worker, *concurrency)
	for i := range workers {
		workers[i] = &worker{team: t, n: i, refresh: make(map[int]string)}
	}
	first := t.member(0)
	live, err := first.live(min(mostAsked, first.place.sessions/2))
	return []act{
		{
			name: actRefresh, signs: true,
			next: func(i int) (request, bool) { return workers[i].nextRefresh() },
			got:  func(i int, body []byte) error { return workers[i].refreshed(body) },
		},
		{
			name: actClient, signs: true,
			next: func(i int) (request, bool) {
				return t.member(i).form(clientApp, "/token", "grant_type", "client_credentials"), true
			},
			got: func(i int, body []byte) error {
				var t tokens
				err := json.Unmarshal(body, &t)
				workers[i].spare = append(workers[i].spare, t.Access)
				return err
			},
		},
		{
			name: actIntrospect,
			next: func(i int) (request, bool) {
				return t.member(i).form(clientApp, "/introspect", "token", live[rand.IntN(len(live))]), true
			},
		},
		{
			name: actRevoke,
			next: func(i int) (request, bool) {
				token, ok := workers[i].nextSpare()
				return t.member(i).form(clientApp, "/revoke", "token", token), ok
			},
		},
		{
			name: actJWKS,
			next: func(i int) (request, bool) {
				return request{method: http.MethodGet, url: t.member(i).url + "/.well-known/jwks.json"}, true
			},
		},
		{
			// More at once would only wait in the queue, and some in vain.
			name: "password, its hash included", workers: runtime.NumCPU(), once: true,
			next: func(i int) (request, bool) { return t.member(i).login(), true },
		},
	}, err
}

// live are access tokens of as many sessions.
func (s *server) live(n int) ([]string, error) {
	all := make([]string, n)
	for i := range all {
		token, err := s.place.refreshToken(appSession(i * (s.place.sessions / 2 / n)))
		if err != nil {
			return nil, err
		}
		t, err := s.tokens(s.refresh(clientApp, token))
		if err != nil {
			return nil, err
		}
		all[i] = t.Access
	}
	return all, nil
}

// worker is one of those who ask.
type worker struct {
	team *team
	n    int
	// refresh are the refresh tokens of the sessions that were refreshed.
	refresh map[int]string
	session int
	spare   []string // access tokens to revoke
}

// nextRefresh refreshes one of the worker's own sessions, any one of them: two
// workers on one session would be reuse.
func (w *worker) nextRefresh() (request, bool) {
	s := w.team.member(w.n)
	w.session = fastSession(rand.IntN(s.place.sessions/2 / *concurrency)**concurrency + w.n)
	token, ok := w.refresh[w.session]
	if !ok {
		var err error
		if token, err = s.place.refreshToken(w.session); err != nil {
			panic(fmt.Sprintf("bench: a refresh token is not made: %v", err)) // of our own making
		}
	}
	return s.refresh(clientFast, token), true
}

func (w *worker) refreshed(body []byte) error {
	var t tokens
	err := json.Unmarshal(body, &t)
	w.refresh[w.session] = t.Refresh
	return err
}

func (w *worker) nextSpare() (token string, ok bool) {
	if len(w.spare) == 0 {
		return "", false
	}
	token, w.spare = w.spare[len(w.spare)-1], w.spare[:len(w.spare)-1]
	return token, true
}
