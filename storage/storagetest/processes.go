package storagetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"jeton/storage"
)

// The test binary runs itself again with these set, as the other processes of
// a store.
const (
	childWork    = "STORAGETEST_WORK"
	childAddress = "STORAGETEST_ADDRESS"
)

const (
	childWriters  = 16
	childWins     = 5 // of each of the writers that count
	childCounters = 4
	childKills    = 10
)

var children = map[string]func(context.Context, storage.Backend) error{"count": count, "load": load}

// Main is TestMain: it runs the tests, or what a parent test has started this
// process for.
func Main(m *testing.M, h Harness) {
	work := os.Getenv(childWork)
	if work == "" {
		os.Exit(m.Run())
	}
	if err := child(h, work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(h Harness, work string) error {
	ctx := context.Background()
	b, err := h.Open(ctx, os.Getenv(childAddress), nil)
	if err != nil {
		return err
	}
	return errors.Join(children[work](ctx, b), b.Close())
}

func processes(t *testing.T, h Harness) {
	t.Run("a counter loses no increment", func(t *testing.T) { counting(t, h) })
	t.Run("kill -9 loses nothing that was acknowledged", func(t *testing.T) { killing(t, h) })
}

// start runs a child; its output comes through the pipe.
func start(t *testing.T, address, work string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childWork+"="+work, childAddress+"="+address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// counting has processes add to one row by compare-and-put.
func counting(t *testing.T, h Harness) {
	address := h.New(t)
	b := open(t, h, address) // this process looks on as one more
	var cmds []*exec.Cmd
	var outs []io.Reader
	for range childCounters {
		cmd, out := start(t, address, "count")
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	total := 0
	for i, cmd := range cmds {
		text, err := io.ReadAll(outs[i])
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		wins, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Errorf("process %d printed %q", i, text)
		}
		total += wins
	}
	snap, err := b.Read(t.Context(), alice, key("counter"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(snap.Rows[0].Value); got != strconv.Itoa(total) || total != childCounters*childWriters*childWins {
		t.Errorf("the counter is at %s after %d successes, want both to be %d", got, total, childCounters*childWriters*childWins)
	}
}

func open(t *testing.T, h Harness, address string) storage.Backend {
	t.Helper()
	b, err := h.Open(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// count is a process that counts.
func count(ctx context.Context, b storage.Backend) error {
	errs := make([]error, childWriters)
	var all sync.WaitGroup
	for i := range childWriters {
		all.Go(func() {
			for won := 0; won < childWins && errs[i] == nil; {
				switch err := increment(ctx, b); {
				case err == nil:
					won++
				case !errors.Is(err, storage.ErrConflict):
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	fmt.Println(childWriters * childWins)
	return errors.Join(errs...)
}

func increment(ctx context.Context, b storage.Backend) error {
	snap, err := b.Read(ctx, alice, key("counter"))
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(snap.Rows[0].Value))
	_, err = b.Commit(ctx, storage.Change{Partition: alice,
		Checks: []storage.Check{{Key: key("counter"), Version: snap.Rows[0].Version}},
		Puts:   []storage.Put{put("counter", strconv.Itoa(n+1))}})
	return err
}

// killing kills a process in the midst of its writes, again and again, and
// holds what is there against what it had been told was there.
func killing(t *testing.T, h Harness) {
	address := h.New(t)
	acked := make([]int, childWriters)
	for round := range childKills {
		cmd, out := start(t, address, "load")
		lines := bufio.NewScanner(out)
		for seen := 0; lines.Scan(); seen++ {
			var writer, n int
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &writer, &n); err != nil {
				t.Fatalf("round %d: the process printed %q", round, lines.Text())
			}
			acked[writer] = n
			if seen == 100+37*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait() // killed
		b, err := h.Open(t.Context(), address, nil)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i := range acked {
			acked[i] = survived(t, b, round, i, acked[i]) // the next process goes on from there
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func loadPartition(i int) storage.Partition { return storage.Partition(id("u/writer", i)) }

// survived checks the rows of one writer: at least what was acknowledged, at
// most one commit more, and each commit whole. It returns what is there.
func survived(t *testing.T, b storage.Backend, round, i, acked int) int {
	t.Helper()
	snap, err := b.Read(t.Context(), loadPartition(i), key("a"), key("b"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := string(snap.Rows[0].Value), string(snap.Rows[1].Value)
	n, _ := strconv.Atoi(first)
	if first != second || n < acked || n > acked+1 {
		t.Errorf("round %d: writer %d was acknowledged %d, its rows are at %q and %q", round, i, acked, first, second)
	}
	page, err := b.List(t.Context(), storage.Query{Index: "events", Partition: loadPartition(i), Limit: n + 10})
	if err != nil || len(page.Rows) != n {
		t.Errorf("round %d: writer %d has committed %d times and left %d events, %v", round, i, n, len(page.Rows), err)
	}
	return n
}

// load is a process that writes until it is killed: two rows and an event in
// each commit, and a line on stdout once Commit has returned.
func load(ctx context.Context, b storage.Backend) error {
	errs := make(chan error)
	for i := range childWriters {
		go func() { errs <- loadWriter(ctx, b, i) }()
	}
	return <-errs
}

func loadWriter(ctx context.Context, b storage.Backend, i int) error {
	for {
		snap, err := b.Read(ctx, loadPartition(i), key("a"))
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(snap.Rows[0].Value))
		n++
		text := strconv.Itoa(n)
		_, err = b.Commit(ctx, storage.Change{Partition: loadPartition(i),
			Checks: []storage.Check{{Key: key("a"), Version: snap.Rows[0].Version}},
			Puts:   []storage.Put{put("a", text), put("b", text), put(id("event", n), "1", entry("events", id("", n)))}})
		if err != nil {
			return err
		}
		fmt.Printf("%d %d\n", i, n) // one write, so lines stay whole
	}
}
