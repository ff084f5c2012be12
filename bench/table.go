package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// table is what was measured with one algorithm on one number of sessions.
type table struct {
	setup
	ready         time.Duration
	idle, loaded  int64
	perSession    int64
	seedRate      float64
	raw           []float64 // CPU µs a signature, of each round
	bare          []result
	names         []string
	acts          map[string][]result
	rawOf, bareOf map[string][]float64 // what was measured beside, by act

}

// measureTable measures everything, some rounds over, raw signature and bare
// handler in each: so what else the machine does meets all alike.
func measureTable(dir, binary string, s setup) (table, error) {
	t := table{setup: s, acts: make(map[string][]result), rawOf: make(map[string][]float64), bareOf: make(map[string][]float64)}
	p, err := newPlace(dir, binary, *storeURL, s)
	if err != nil {
		return t, err
	}
	defer p.remove()
	t.perSession, t.seedRate = p.perSession, p.seedRate
	key, err := rawKey(s.alg)
	if err != nil {
		return t, err
	}
	bare, err := startBare()
	if err != nil {
		return t, err
	}
	defer bare.stop()
	server, err := p.start()
	if err != nil {
		return t, err
	}
	defer server.stop()
	t.ready = server.ready
	time.Sleep(time.Second) // what it begins with is over
	t.idle = server.resident()
	acts, err := (&team{server}).acts()
	if err != nil {
		return t, err
	}
	for round := range *rounds {
		raw := key.signature()
		base, err := measure(processes{bare}, bareAct(bare))
		if err != nil {
			return t, err
		}
		t.raw, t.bare = append(t.raw, raw), append(t.bare, base)
		for _, a := range acts {
			if !strings.HasPrefix(a.name, *only) || a.once && round > 0 {
				continue
			}
			r, err := server.profiled(a)
			if err != nil {
				return t, err
			}
			if round == 0 {
				t.names = append(t.names, a.name)
			}
			if a.signs { // the clock of the machine moves: look at it from both sides
				raw = (raw + key.signature()) / 2
			}
			t.acts[a.name] = append(t.acts[a.name], r)
			t.rawOf[a.name] = append(t.rawOf[a.name], r.cpu()/raw)
			t.bareOf[a.name] = append(t.bareOf[a.name], r.rate()/base.rate())
		}
	}
	t.loaded = server.resident()
	return t, nil
}

func (t table) print() {
	fmt.Printf("\n**%s, %s sessions.** Ready in %d ms; resident %d MB idle, %d MB loaded; %d bytes on disk a session (filled at %.0f/s).\n\n",
		t.alg, grouped(t.sessions), t.ready.Milliseconds(), t.idle>>20, t.loaded>>20, t.perSession, t.seedRate)
	fmt.Println("| act | requests/s | p50 | p99 | server CPU µs | ÷ bare rate | ÷ raw signature CPU |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	raw := median(t.raw)
	fmt.Printf("| raw %s signature, each core | %s | | | %.0f | | 1 |\n", t.alg, grouped(int(1e6/raw)), raw)
	t.row("bare handler", t.bare, nil, nil)
	for _, name := range t.names {
		t.row(name, t.acts[name], t.bareOf[name], t.rawOf[name])
	}
}

func (t table) row(name string, all []result, bare, raw []float64) {
	var rates, cpus []float64
	var times []time.Duration
	for _, r := range all {
		rates, cpus, times = append(rates, r.rate()), append(cpus, r.cpu()), append(times, r.times...)
	}
	slices.Sort(times)
	ofBare, ofRaw := "1", fmt.Sprintf("%.2f", median(cpus)/median(t.raw))
	if bare != nil {
		ofBare, ofRaw = fmt.Sprintf("%.2f", median(bare)), fmt.Sprintf("%.2f", median(raw))
	}
	fmt.Printf("| %s | %s | %v | %v | %.0f | %s | %s |\n", name, grouped(int(median(rates))),
		percentile(times, 50), percentile(times, 99), median(cpus), ofBare, ofRaw)
}

// rate is the median rate of an act, 0 where it was not measured.
func (t table) rate(name string) float64 {
	var rates []float64
	for _, r := range t.acts[name] {
		rates = append(rates, r.rate())
	}
	return median(rates)
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)].Round(10 * time.Microsecond)
}

func median[T cmp.Ordered](all []T) (m T) {
	if len(all) > 0 {
		m = slices.Sorted(slices.Values(all))[len(all)/2]
	}
	return m
}

// grouped writes a number as people read it.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
