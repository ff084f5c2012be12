// Command bench measures the server from outside, beside a raw signature and a
// bare HTTP handler in the same run: machines differ and are noisy, ratios
// travel.
//
//	go run ./bench                          one table for RS256
//	go run ./bench -alg RS256,ES256,EdDSA   one for each
//	go run ./bench -sessions 1000,1000000   with that many sessions in the store
//
// It builds the jeton command, runs it as a process of its own on a store in a
// temporary folder, and loads it over loopback. CPU is that of the server
// process alone, from /proc, so it needs Linux.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

var (
	duration    = flag.Duration("duration", 4*time.Second, "how long each act is measured")
	concurrency = flag.Int("concurrency", 32, "how many connections ask at once")
	algs        = flag.String("alg", "RS256", "signing algorithms, comma-separated")
	sessions    = flag.String("sessions", "0", "sessions that the store holds beside, comma-separated")
	bareListen  = flag.Bool("bare", false, "be the bare handler (bench starts itself so)")
)

func main() {
	flag.Parse()
	if *bareListen {
		serveBare()
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d cores, %d connections, %v each\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *concurrency, *duration)
	for _, alg := range strings.Split(*algs, ",") {
		for _, text := range strings.Split(*sessions, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("-sessions %q is not a number", text)
			}
			if err := table(dir, binary, alg, n); err != nil {
				return fmt.Errorf("%s with %d sessions: %w", alg, n, err)
			}
		}
	}
	return nil
}

// table measures everything with one algorithm and one size of store.
func table(dir, binary, alg string, n int) error {
	raw, err := rawSignature(alg)
	if err != nil {
		return err
	}
	bare, err := startBare()
	if err != nil {
		return err
	}
	base := measure(bare, bareAct(bare))
	bare.stop()

	p, err := newPlace(dir, binary, alg, n)
	if err != nil {
		return err
	}
	s, err := p.start()
	if err != nil {
		return err
	}
	defer s.stop()
	idle := s.resident()

	fmt.Printf("\n%s, %d other sessions; ready in %v; resident %d MB idle\n", alg, n, s.ready.Round(time.Millisecond), idle>>20)
	if n > 0 {
		fmt.Printf("%d bytes on disk a session, made at %.0f sessions/s\n", p.perSession, p.seedRate)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "act\trequests/s\tp50\tp99\tCPU µs\t÷ bare rate\t÷ raw signature CPU\t")
	fmt.Fprintf(w, "raw %s signature, 1 core\t%.0f\t\t\t%.0f\t\t1\t\n", alg, 1e6/raw, raw)
	row(w, "bare handler", base, base, raw)
	for _, a := range s.acts() {
		r := measure(s.process, a)
		if r.failed > 0 {
			return fmt.Errorf("%s: %d of %d requests failed, the first with %s", a.name, r.failed, r.failed+r.done, r.first)
		}
		row(w, a.name, r, base, raw)
	}
	w.Flush()
	fmt.Printf("resident %d MB loaded\n", s.resident()>>20)
	return nil
}

func row(w *tabwriter.Writer, name string, r, base result, raw float64) {
	fmt.Fprintf(w, "%s\t%.0f\t%v\t%v\t%.0f\t%.2f\t%.2f\t\n", name, r.rate(), r.percentile(50), r.percentile(99), r.cpu(), r.rate()/base.rate(), r.cpu()/raw)
}
