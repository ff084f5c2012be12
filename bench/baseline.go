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
	"syscall"
	"time"
)

// rawSignature is the CPU time of one signature, in microseconds.
func rawSignature(alg string) (float64, error) {
	var (
		key  crypto.Signer
		err  error
		opts crypto.SignerOpts = crypto.SHA256
	)
	switch alg {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "PS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
		opts = crypto.Hash(0)
	default:
		err = fmt.Errorf("there is no algorithm %q", alg)
	}
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("a signing input"))
	before := ownCPU()
	n := 0
	for begun := time.Now(); time.Since(begun) < *duration/2; n++ {
		if _, err := key.Sign(rand.Reader, digest[:], opts); err != nil {
			return 0, err
		}
	}
	return float64((ownCPU() - before).Microseconds()) / float64(n), nil
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
	return act{name: "bare handler", next: func(int) (request, bool) {
		return request{url: p.url, body: "grant_type=refresh_token&refresh_token=" + string(make([]byte, 600))}, true
	}}
}
