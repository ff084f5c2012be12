package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"jeton/storage"
	"jeton/storage/sqlite"
)

const (
	secret   = "bench-secret-bench-secret-bench-secret"
	password = "wonderland-wonderland"
)

// place is a store with a client and a user in it.
type place struct {
	binary, dir, alg string
	perSession       int64
	seedRate         float64
}

func newPlace(dir, binary, alg string, sessions int) (*place, error) {
	dir, err := os.MkdirTemp(dir, "store-")
	if err != nil {
		return nil, err
	}
	p := &place{binary: binary, dir: dir, alg: alg}
	if err := p.run(secret, "client", "add", "bench", "--grant", "password,refresh_token,client_credentials", "--scope", "read,write", "--secret-stdin"); err != nil {
		return nil, err
	}
	if err := p.run(password, "user", "add", "alice", "--role", "ROLE_USER", "--password-stdin"); err != nil {
		return nil, err
	}
	if sessions > 0 {
		err = p.seed(sessions)
	}
	return p, err
}

func (p *place) file() string { return filepath.Join(p.dir, "jeton.db") }

func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Env = append(os.Environ(), "JETON_STORE=sqlite:"+p.file(), "JETON_SIGNING_ALG="+p.alg, "JETON_METRICS_LISTEN=off", "JETON_LOG_LEVEL=warn")
	return cmd
}

func (p *place) run(stdin string, args ...string) error {
	cmd := p.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("jeton %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// seed fills the store with sessions of other users: copies of a real one under
// other names, written as the server writes them.
func (p *place) seed(n int) error {
	s, err := p.start()
	if err != nil {
		return err
	}
	_, err = s.login()
	s.stop()
	if err != nil {
		return err
	}
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, sqlite.Options{Path: p.file()})
	if err != nil {
		return err
	}
	store := storage.New(backend)
	defer store.Close()
	page, err := store.List(ctx, storage.Query{Index: storage.IndexSessions, Limit: 1})
	if err != nil {
		return err
	}
	before := size(p.file())
	begun := time.Now()
	const writers = 256
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				if err := copySession(ctx, store, page.Rows[0], i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	p.seedRate = float64(n) / time.Since(begun).Seconds()
	p.perSession = (size(p.file()) - before) / int64(n)
	close(errs)
	return <-errs
}

func copySession(ctx context.Context, store *storage.Store, row storage.Row, i int) error {
	ses, err := storage.Decode[storage.Session](row)
	if err != nil {
		return err
	}
	v := ses.Value
	v.ID, v.Subject = fmt.Sprintf("bench-%016x-sid", i), fmt.Sprintf("bench-%012x-user", i/4)
	_, err = store.Commit(ctx, storage.Change{Partition: storage.UserPartition(v.Subject), Puts: []storage.Put{{
		Key: storage.SessionKey(v.ID), Value: storage.Encode(v), Expires: row.Expires,
		Index: []storage.Entry{{Name: storage.IndexSessions, Sort: v.ID}, {Name: storage.IndexClientSessions(v.ClientID), Sort: v.ID}},
	}}})
	return err
}

func size(file string) int64 {
	var n int64
	for _, f := range []string{file, file + "-wal"} {
		if info, err := os.Stat(f); err == nil {
			n += info.Size()
		}
	}
	return n
}

// server is a running jeton.
type server struct {
	*process
	http http.Client
}

func (p *place) start() (*server, error) {
	proc, err := start(p.command("serve", "--listen", "127.0.0.1:0"))
	return &server{process: proc}, err
}

// tokens is a token response.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (s *server) form(path string, pairs ...string) request {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return request{url: s.url + path, body: f.Encode(), client: "bench", secret: secret}
}

func (s *server) tokens(q request) (t tokens, err error) {
	body, status, err := q.send(&s.http)
	if err != nil {
		return t, err
	}
	if status != 200 {
		return t, fmt.Errorf("%d: %s", status, body)
	}
	return t, json.Unmarshal(body, &t)
}

func (s *server) login() (tokens, error) { return s.tokens(s.loginForm()) }

func (s *server) loginForm() request {
	return s.form("/token", "grant_type", "password", "username", "alice", "password", password)
}

// acts are what is measured, in order.
func (s *server) acts() []act {
	sessions := make([]tokens, *concurrency)
	for i := range sessions {
		var err error
		if sessions[i], err = s.login(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: login:", err)
			os.Exit(1)
		}
	}
	// One live token a worker is revoked only once, so they are made first.
	spare := make([][]string, *concurrency)
	return []act{
		{
			name: "refresh",
			next: func(i int) (request, bool) {
				return s.form("/token", "grant_type", "refresh_token", "refresh_token", sessions[i].Refresh), true
			},
			got: func(i int, body []byte) error { return json.Unmarshal(body, &sessions[i]) },
		},
		{
			name: "client_credentials",
			next: func(int) (request, bool) { return s.form("/token", "grant_type", "client_credentials"), true },
			got: func(i int, body []byte) error {
				var t tokens
				err := json.Unmarshal(body, &t)
				spare[i] = append(spare[i], t.Access)
				return err
			},
		},
		{
			name: "introspect",
			next: func(i int) (request, bool) { return s.form("/introspect", "token", sessions[i].Access), true },
		},
		{
			name: "revoke",
			next: func(i int) (request, bool) {
				if len(spare[i]) == 0 {
					return request{}, false
				}
				token := spare[i][0]
				spare[i] = spare[i][1:]
				return s.form("/revoke", "token", token), true
			},
		},
		{
			name: "JWKS",
			next: func(int) (request, bool) {
				return request{method: http.MethodGet, url: s.url + "/.well-known/jwks.json"}, true
			},
		},
		{
			// More at once would only wait in the queue, and some in vain.
			name: "password (argon2id in it)", workers: runtime.NumCPU(),
			next: func(int) (request, bool) { return s.loginForm(), true },
		},
	}
}
