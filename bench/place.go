package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"jeton/keys"
)

const (
	secret   = "bench-secret-bench-secret-bench-secret"
	password = "wonderland-wonderland"
	issuer   = "http://127.0.0.1:9096"

	// Sessions belong to the two clients in turn. Those of the fast one are
	// refreshed, many times a minute each: its access tokens live for a second,
	// so that sessions carry as few live ones as they do in earnest.
	clientApp  = "bench"
	clientFast = "bench-fast"
)

func appSession(i int) int  { return 2 * i }
func fastSession(i int) int { return 2*i + 1 }

// place is a store with clients, users and sessions in it.
type place struct {
	setup
	binary, dir string
	store       string // its URL, of a file in dir unless set
	perSession  int64
	seedRate    float64
	ring        *keys.Ring
}

func newPlace(dir, binary, store string, s setup) (*place, error) {
	dir, err := os.MkdirTemp(dir, "store-")
	if err != nil {
		return nil, err
	}
	p := &place{setup: s, binary: binary, dir: dir, store: store}
	master, err := keys.CreateMaster(p.masterFile())
	if err != nil {
		return nil, err
	}
	for _, c := range [][]string{{clientApp}, {clientFast, "--access-token-ttl", "1s"}} {
		args := append([]string{"client", "add", "--grant", "password,refresh_token,client_credentials", "--scope", "read,write", "--secret-stdin"}, c...)
		if err := p.run(secret, args...); err != nil {
			return nil, err
		}
	}
	if err := p.run(password, "user", "add", "alice", "--role", "ROLE_USER", "--password-stdin"); err != nil {
		return nil, err
	}
	return p, p.seed(context.Background(), master)
}

func (p *place) file() string { return filepath.Join(p.dir, "jeton.db") }

func (p *place) url() string {
	if p.store != "" {
		return p.store
	}
	return "sqlite:" + p.file()
}

func (p *place) masterFile() string { return filepath.Join(p.dir, "master.key") }

func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Env = append(os.Environ(), "JETON_STORE="+p.url(), "JETON_MASTER_KEY_FILE="+p.masterFile(),
		"JETON_SIGNING_ALG="+p.alg, "JETON_METRICS_LISTEN=off", "JETON_LOG_LEVEL=warn",
		"JETON_ADMIN_SOCKET="+filepath.Join(p.dir, "admin.sock"))
	if *profile != "" && args[0] == "serve" {
		cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(*profile, "bench"))
	}
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

// remove makes room for the next store.
func (p *place) remove() { os.RemoveAll(p.dir) }

// size is what the store takes on disk, 0 where it is not a file.
func (p *place) size() int64 {
	var n int64
	for _, f := range []string{p.file(), p.file() + "-wal"} {
		n += sizeOf(f)
	}
	return n
}

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}
