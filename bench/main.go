// Command bench measures the server from outside, beside a raw signature and a
// bare HTTP handler in the same run: machines differ and are noisy, ratios
// travel.
//
//	go run ./bench                       what docs/BENCHMARKS.md shows, in some eight minutes
//	go run ./bench -quick                RS256 alone, in half a minute
//	go run ./bench -alg ES256 -sessions 1000,1000000
//	go run ./bench -quick -profile DIR   and a CPU profile of each act
//	go run ./bench refusal               from /revoke until two APIs refuse, in some two minutes
//	go run ./bench lists                 status lists of a million tokens
//	go run ./bench waiters               10,000 requests that wait for one list
//	go run ./bench scale                 one server on SQLite beside one to four on Redis, in some 15 minutes
//	go run ./bench fill                  sessions into a store that is there; prints their refresh tokens
//
// It builds the jeton command, runs it as a process of its own on a store in a
// temporary folder (or on the one that -store names, which must be empty), and
// loads it over loopback. CPU is that of the server process alone, from /proc,
// so it needs Linux. What it prints is Markdown.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

var (
	duration    = flag.Duration("duration", 1500*time.Millisecond, "how long each act is measured in a round")
	rounds      = flag.Int("rounds", 3, "how often everything is measured; the median counts")
	concurrency = flag.Int("concurrency", 32, "how many connections ask at once")
	algs        = flag.String("alg", "RS256,ES256,EdDSA", "signing algorithms, comma-separated")
	sessions    = flag.String("sessions", "", "sessions in the store, comma-separated (default 1000; for scale 1000,100000)")
	large       = flag.Int("large", -1, "sessions of one more table, for ES256; 0 for none (default 1,000,000; for scale 2,000,000)")
	quick       = flag.Bool("quick", false, "RS256 alone, 1,000 sessions, one round")
	storeURL    = flag.String("store", "", "an empty store to use, as for jeton --store (default: a SQLite file in a temporary folder)")
	profile     = flag.String("profile", "", "a directory for CPU and allocation profiles of each act, such as RS256-1000-refresh.cpu")
	only        = flag.String("only", "", "measure only the acts whose name begins so")
	bareListen  = flag.Bool("bare", false, "be the bare handler (bench starts itself so)")
)

func main() {
	flag.Parse()
	if *bareListen {
		serveBare()
		return
	}
	act, ok := map[string]func() error{"": run, "refusal": refusal, "lists": lists, "waiters": waiters, "scale": scale, "fill": fill}[flag.Arg(0)]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: %q is none of refusal, lists, waiters, scale and fill\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := act(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// setup is what one table is measured on.
type setup struct {
	alg      string
	sessions int
}

// setups are what the flags ask for, or the command's own.
func setups(counts string, most int) ([]setup, error) {
	if *sessions != "" {
		counts = *sessions
	}
	if *large >= 0 {
		most = *large
	}
	if *quick {
		*rounds = 1
		return []setup{{"RS256", 1000}}, nil
	}
	var all []setup
	for _, alg := range strings.Split(*algs, ",") {
		for _, text := range strings.Split(counts, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < *concurrency {
				return nil, fmt.Errorf("-sessions %q is not a number from %d on", text, *concurrency)
			}
			all = append(all, setup{alg, n})
		}
	}
	if most > 0 && *storeURL == "" {
		all = append(all, setup{"ES256", most})
	}
	if *storeURL != "" && len(all) > 1 {
		return nil, fmt.Errorf("a store of your own is measured with one algorithm and one number of sessions: set -alg and -sessions")
	}
	return all, nil
}

func run() error {
	all, err := setups("1000", 1_000_000)
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
	var done []table
	for _, s := range all {
		t, err := measureTable(dir, binary, s)
		if err != nil {
			return fmt.Errorf("%s with %d sessions: %w", s.alg, s.sessions, err)
		}
		t.print()
		done = append(done, t)
	}
	printGoals(done)
	return nil
}

// loadAverage tells whether the machine was idle.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
