package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// raw is a key that signs as the server does, and nothing else.
type raw struct {
	key  crypto.Signer
	opts crypto.SignerOpts
	text []byte
}

func rawKey(alg string) (raw, error) {
	digest := sha256.Sum256([]byte("a signing input"))
	r := raw{opts: crypto.SHA256, text: digest[:]}
	var err error
	switch alg {
	case "RS256":
		r.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "PS256":
		r.key, err = rsa.GenerateKey(rand.Reader, 2048)
		r.opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	case "ES256":
		r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, r.key, err = ed25519.GenerateKey(rand.Reader)
		r.opts = crypto.Hash(0)
	default:
		err = fmt.Errorf("there is no algorithm %q", alg)
	}
	return r, err
}

// signature is the CPU time of one signature, in microseconds, while all cores
// sign: a core that shares caches and clock with busy ones is slower, and that
// is how the server signs under load.
func (r raw) signature() float64 {
	before, until := ownCPU(), time.Now().Add(*duration/3)
	var wg sync.WaitGroup
	var total atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			n := int64(0)
			for ; time.Now().Before(until); n++ {
				if _, err := r.key.Sign(rand.Reader, r.text, r.opts); err != nil {
					panic(err)
				}
			}
			total.Add(n)
		})
	}
	wg.Wait()
	return float64((ownCPU() - before).Microseconds()) / float64(total.Load())
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serveBare answers as the token endpoint would, and does nothing for it: it
// reads the form and writes a constant.
func serveBare() {
	body := make([]byte, 1100)
	for i := range body {
		body[i] = 'x'
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "listening on http://"+l.Addr().String())
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func startBare() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.Command(self, "-bare"))
}

func bareAct(p *process) act {
	body := "grant_type=refresh_token&refresh_token=" + strings.Repeat("x", 600)
	return act{name: "bare handler", next: func(int) (request, bool) {
		return request{url: p.url, body: body, client: clientApp}, true
	}}
}
