package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
	"jeton/verify"
)

const (
	liveTokens  = 1_000_000
	revokedPart = 100 // one in so many
)

// lists measures status lists of a million live tokens, of which one in a
// hundred is revoked: what is sent, how long it takes, and the memory of
// server and verifier.
func lists() error {
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	p, err := newPlace(dir, binary, *storeURL, setup{"ES256", 100})
	if err != nil {
		return err
	}
	places, err := p.fill(context.Background())
	if err != nil {
		return err
	}
	s, err := p.start()
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Printf("%s, %s on %s/%s, %d cores, load before %s. %d live tokens in %d lists, 1 in %d revoked:\n\n", time.Now().UTC().Format(time.DateOnly),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), loadAverage(), liveTokens, len(places), revokedPart)
	fmt.Println("| list | tokens | wire, bytes | with gzip | first answer: read, pack, sign | next: gzip | to verify and inflate |\n|---|---|---|---|---|---|---|")
	idle := s.resident()
	v, watch, err := p.verifier(s.url)
	if err != nil {
		return err
	}
	for number, n := range places {
		if err := p.row(s, v, watch, number, n); err != nil {
			return err
		}
	}
	with := heap()
	v.Close()
	v = nil // and with it what it held
	fmt.Printf("\nServer: resident %d MB idle, %d MB with the lists. Verifier: %d KB of heap, keys included.\n", idle>>20, s.resident()>>20, (with-heap())>>10)
	return nil
}

func heap() int64 {
	for range 3 { // finalizers free more
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fill takes a place for each token and revokes some. It returns how many
// tokens each list has.
func (p *place) fill(ctx context.Context) (map[uint32]int, error) {
	store, err := p.openStore(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	all := status.New(store, status.Config{})
	defer all.Close()
	now, err := store.Now(ctx)
	if err != nil {
		return nil, err
	}
	places := make(map[uint32]int)
	change := storage.Change{Partition: storage.UserPartition("bench")}
	for i := range liveTokens {
		place, err := all.Next(ctx, now, now.Add(30*time.Minute))
		if err != nil {
			return nil, err
		}
		places[place.List]++
		if i%revokedPart == 0 {
			put, _ := status.RevokedPut(status.NewTokenID(place), now, now.Add(30*time.Minute))
			change.Puts = append(change.Puts, put)
		}
		if len(change.Puts) == 100 || i == liveTokens-1 {
			if _, err := store.Commit(ctx, change); err != nil {
				return nil, err
			}
			change.Puts = nil
		}
	}
	return places, nil
}

// row measures one list.
func (p *place) row(s *server, v *verify.Verifier, watch *watch, number uint32, n int) error {
	uri := status.URI(s.url, number)
	begun := time.Now()
	plain, err := fetch(uri, "identity")
	if err != nil {
		return err
	}
	first := time.Since(begun)
	begun = time.Now()
	zipped, err := fetch(uri, "gzip")
	if err != nil {
		return err
	}
	again := time.Since(begun)
	token, err := p.accessToken(status.Place{List: number, Index: rand.Uint32N(1 << 20)})
	if err != nil {
		return err
	}
	if _, err = v.Verify(context.Background(), token); err != nil && !errors.Is(err, verify.ErrRevoked) {
		return err
	}
	fmt.Printf("| %d | %d | %d | %d | %v | %v | %v |\n", number, n, plain, zipped, first.Round(time.Millisecond/10), again.Round(time.Millisecond/10),
		time.Since(watch.read).Round(time.Millisecond/100))
	return nil
}

// fetch says how many bytes came.
func fetch(uri, encoding string) (int64, error) {
	r, err := http.NewRequest(http.MethodGet, uri, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept-Encoding", encoding)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || encoding == "gzip" && resp.Header.Get("Content-Encoding") != "gzip" {
		return 0, fmt.Errorf("%s: %s", uri, resp.Status)
	}
	counted := &counter{r: resp.Body}
	var body io.Reader = counted
	if encoding == "gzip" {
		if body, err = gzip.NewReader(counted); err != nil {
			return 0, err
		}
	}
	_, err = io.Copy(io.Discard, body)
	return counted.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// accessToken makes a token as the server does.
func (p *place) accessToken(at status.Place) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": issuer, "sub": "bench", "aud": []string{issuer}, "client_id": clientApp, "jti": status.NewTokenID(at), "scope": "read write",
		"iat": now.Unix(), "exp": now.Add(30 * time.Minute).Unix(),
		"status": map[string]any{"status_list": map[string]any{"idx": at.Index, "uri": status.URI(issuer, at.List)}},
	}
	token, _, err := p.ring.Sign(context.Background(), now, keys.UseSig, "at+jwt", claims)
	return token, err
}

// watch asks the server wherever it listens, and notes when a list had come.
type watch struct {
	host string
	read time.Time
}

func (p *place) verifier(at string) (*verify.Verifier, *watch, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, nil, err
	}
	w := &watch{host: u.Host}
	v, err := verify.New(verify.Options{Issuer: issuer, Audience: []string{issuer}, HTTP: &http.Client{Transport: w}, NoWait: true})
	return v, w, err
}

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = w.host, ""
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/status/") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	w.read = time.Now()
	return resp, err
}
