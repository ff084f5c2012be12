package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

var nodes = flag.Int("nodes", 4, "up to how many servers share one Redis (bench scale)")

// deployment is a store and the servers on it.
type deployment struct {
	store    string
	place    *place
	redis    *redisServer // where the store is one
	team     team
	acts     []act
	idle     int64
	measured map[string][]share // by act
}

// share is what an act cost, and whom.
type share struct {
	result
	redis float64 // processor time of Redis, µs a request
	calls float64 // of Redis, a request
	ratio float64 // of its rate to that on SQLite in the same round
}

// scale measures one server on SQLite beside one to several on Redis, in turn
// and in the same run.
func scale() error {
	if !given("alg") {
		*algs = "RS256,ES256"
	}
	all, err := setups("1000,100000", 2_000_000)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s on %s/%s, %d cores, load before %s; %d connections, median of %d rounds of %v each.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), loadAverage(),
		*concurrency, *rounds, *duration)
	for _, s := range all {
		if err := beside(dir, binary, s); err != nil {
			return fmt.Errorf("%s with %d sessions: %w", s.alg, s.sessions, err)
		}
	}
	return nil
}

// beside measures the stores side by side, and then Redis with more servers.
func beside(dir, binary string, s setup) error {
	file, err := deploySQLite(dir, binary, s)
	if err != nil {
		return err
	}
	defer file.stop()
	shared, err := deployRedis(dir, binary, s)
	if err != nil {
		return err
	}
	defer shared.stop()
	fmt.Printf("\n**%s, %s sessions.** A session takes %d bytes in the file of SQLite; %d bytes of Redis's memory, %d of its log. Filled at %.0f/s and %.0f/s. "+
		"A server is resident with %d MB on SQLite and %d MB on Redis before it is asked.\n\n", s.alg, grouped(s.sessions), file.place.perSession,
		shared.place.perSession, shared.redis.log()/int64(s.sessions), file.place.seedRate, shared.place.seedRate, file.idle>>20, shared.idle>>20)
	fmt.Println("| act | on | requests/s | p50 | p99 | CPU µs, servers | CPU µs, Redis | calls of Redis | ÷ SQLite |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for range *rounds {
		for i := range file.acts {
			base, err := file.measure(i, 0)
			if err != nil {
				return err
			}
			if _, err := shared.measure(i, base); err != nil {
				return err
			}
		}
	}
	file.print()
	shared.print()
	for n := 2; n <= *nodes; n++ {
		if err := shared.join(); err != nil {
			return err
		}
		clear(shared.measured)
		for range *rounds {
			for i, a := range shared.acts {
				if _, err := shared.measure(i, file.rate(a.name)); err != nil {
					return err
				}
			}
		}
		shared.print()
	}
	return nil
}

func deploySQLite(dir, binary string, s setup) (*deployment, error) {
	p, err := newPlace(dir, binary, "", s)
	if err != nil {
		return nil, err
	}
	return deploy(&deployment{store: "SQLite", place: p})
}

func deploy(d *deployment) (*deployment, error) {
	d.measured = make(map[string][]share)
	err := d.join()
	if err == nil {
		time.Sleep(time.Second) // what it begins with is over
		d.idle = d.team[0].resident()
		d.acts, err = d.team.acts()
	}
	if err != nil {
		d.stop()
		return nil, err
	}
	d.acts = slices.DeleteFunc(d.acts, func(a act) bool { return a.once || a.name == actJWKS || !strings.HasPrefix(a.name, *only) })
	return d, nil
}

// join starts one more server.
func (d *deployment) join() error {
	s, err := d.place.startAs(len(d.team))
	if err != nil {
		return err
	}
	d.team = append(d.team, s)
	return nil
}

func (d *deployment) stop() {
	for _, s := range d.team {
		s.stop()
	}
	if d.redis != nil {
		d.redis.stop()
	}
	d.place.remove()
}

// measure measures an act, and returns its rate.
func (d *deployment) measure(i int, base float64) (float64, error) {
	all := make(processes, len(d.team))
	for i, s := range d.team {
		all[i] = s.process
	}
	var cpu time.Duration
	var calls float64
	if d.redis != nil {
		cpu, calls = d.redis.cpu(), d.redis.calls()
	}
	r, err := measure(all, d.acts[i])
	if err != nil {
		return 0, err
	}
	got := share{result: r, ratio: 1}
	if d.redis != nil {
		done := float64(max(r.done, 1))
		got.redis, got.calls = float64((d.redis.cpu()-cpu).Microseconds())/done, (d.redis.calls()-calls)/done
	}
	if base > 0 {
		got.ratio = r.rate() / base
	}
	d.measured[d.acts[i].name] = append(d.measured[d.acts[i].name], got)
	return r.rate(), nil
}

func (d *deployment) rate(name string) float64 {
	return d.median(name, func(s share) float64 { return s.rate() })
}

func (d *deployment) median(name string, of func(share) float64) float64 {
	var all []float64
	for _, s := range d.measured[name] {
		all = append(all, of(s))
	}
	return median(all)
}

func (d *deployment) print() {
	on := d.store
	if d.redis != nil {
		on = fmt.Sprintf("%s, %d of them", on, len(d.team))
	}
	for _, a := range d.acts {
		var times []time.Duration
		for _, s := range d.measured[a.name] {
			times = append(times, s.times...)
		}
		slices.Sort(times)
		fmt.Printf("| %s | %s | %s | %v | %v | %.0f | %.0f | %.1f | %.2f |\n", a.name, on, grouped(int(d.rate(a.name))),
			percentile(times, 50), percentile(times, 99), d.median(a.name, func(s share) float64 { return s.cpu() }),
			d.median(a.name, func(s share) float64 { return s.redis }), d.median(a.name, func(s share) float64 { return s.calls }),
			d.median(a.name, func(s share) float64 { return s.ratio }))
	}
}

// given reports whether a flag was set.
func given(name string) (is bool) {
	flag.Visit(func(f *flag.Flag) { is = is || f.Name == name })
	return is
}
