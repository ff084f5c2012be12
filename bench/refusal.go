package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// revocations is how many tokens are revoked for each row.
const revocations = 1000

// refusal measures how long after the answer of /revoke a token is accepted
// by two APIs that verify locally, while the server and they have other work:
// processes of their own all three.
func refusal() error {
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "api")
	if out, err := exec.Command("go", "build", "-o", program, "jeton/examples/api").CombinedOutput(); err != nil {
		return fmt.Errorf("building the API: %w\n%s", err, out)
	}
	p, err := newPlace(dir, binary, *storeURL, setup{"ES256", 4 * revocations})
	if err != nil {
		return err
	}
	proc, err := start(p.command("serve", "--listen", "127.0.0.1:0")) // its address is its issuer, since the APIs ask there
	if err != nil {
		return err
	}
	s := &server{process: proc, place: p}
	defer s.stop()
	fmt.Printf("%s, %s on %s/%s, %d cores, load before %s. From the answer of /revoke until both APIs refuse, %d tokens,\nof a client and of sessions that log out in turn:\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), loadAverage(), revocations)
	fmt.Println("| APIs | p50 | p99 | max | beside, requests/s |\n|---|---|---|---|---|")
	for i, c := range []struct {
		name, poll string
		workers    int
		every      time.Duration
	}{{"wait for changes", "false", 8, 10 * time.Millisecond}, {"poll by ttl (15 s)", "true", 100, 200 * time.Millisecond}} {
		if err := refusals(s, program, i*revocations, c.name, c.poll, c.workers, c.every); err != nil {
			return err
		}
	}
	return nil
}

// refusals prints one row.
func refusals(s *server, program string, from int, name, poll string, workers int, every time.Duration) error {
	var apis []*process
	for range 2 {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "API_ISSUER="+s.url, "API_AUDIENCE="+s.url+","+issuer, "API_LISTEN=127.0.0.1:0", "API_POLL="+poll)
		api, err := start(cmd)
		if err != nil {
			return err
		}
		defer api.cmd.Wait()
		defer api.cmd.Process.Kill()
		apis = append(apis, api)
	}
	beside := newBackground(s)
	var left atomic.Int64
	left.Store(revocations)
	times, errs := make([][]time.Duration, workers), make([]error, workers)
	begun := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for errs[w] == nil {
				n := left.Add(-1)
				if n < 0 {
					return
				}
				var took time.Duration
				if took, errs[w] = s.untilRefused(apis, from+int(n), every); errs[w] == nil {
					times[w] = append(times[w], took)
				}
			}
		})
	}
	wg.Wait()
	rate := float64(beside.end()) / time.Since(begun).Seconds()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	at := func(percent int) time.Duration { return all[(len(all)-1)*percent/100].Round(time.Millisecond) }
	fmt.Printf("| %s | %v | %v | %v | %.0f |\n", name, at(50), at(99), at(100), rate)
	return nil
}

// revocable is an access token, and the request that ends it: by revoking it, or
// by logging out of its session.
func (s *server) revocable(n int) (access string, revoke request, err error) {
	if n%2 == 0 {
		t, err := s.tokens(s.form(clientApp, "/token", "grant_type", "client_credentials"))
		return t.Access, s.form(clientApp, "/revoke", "token", t.Access), err
	}
	refresh, err := s.place.refreshToken(appSession(n))
	if err != nil {
		return "", request{}, err
	}
	t, err := s.tokens(s.refresh(clientApp, refresh))
	return t.Access, s.form(clientApp, "/revoke", "token", t.Refresh), err
}

// untilRefused ends a token that both APIs accept, and asks them until neither
// does.
func (s *server) untilRefused(apis []*process, n int, every time.Duration) (time.Duration, error) {
	access, revoke, err := s.revocable(n)
	if err != nil {
		return 0, err
	}
	for _, api := range apis {
		if status, err := ask(&s.http, api, access); err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("a live token was answered with %d: %w", status, cmp.Or(err, errors.New("not accepted")))
		}
	}
	if _, err := revoke.send(&s.http); err != nil {
		return 0, err
	}
	answered := time.Now()
	for _, api := range apis {
		for {
			status, err := ask(&s.http, api, access)
			if err != nil {
				return 0, err
			}
			if status == http.StatusUnauthorized {
				break
			}
			if time.Since(answered) > time.Minute {
				return 0, errors.New("a token is accepted a minute after it was revoked")
			}
			time.Sleep(every)
		}
	}
	return time.Since(answered), nil
}

func ask(client *http.Client, api *process, token string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, api.url+"/orders", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// background is what the server does beside: it issues tokens to some clients.
type background struct {
	stop atomic.Bool
	done atomic.Int64
	wg   sync.WaitGroup
}

func newBackground(s *server) *background {
	b := new(background)
	for range 4 {
		b.wg.Go(func() {
			for !b.stop.Load() {
				if _, err := s.tokens(s.form(clientFast, "/token", "grant_type", "client_credentials")); err == nil {
					b.done.Add(1)
				}
			}
		})
	}
	return b
}

// end says how many requests there were.
func (b *background) end() int64 {
	b.stop.Store(true)
	b.wg.Wait()
	return b.done.Load()
}
