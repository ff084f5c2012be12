package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"jeton/storage"
)

// hold takes the lock of the store as another process would, and returns how
// to let go.
func hold(t *testing.T, s *Store) func() {
	t.Helper()
	f, err := os.OpenFile(s.path+".lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { f.Close() })
}

// queued waits until so many jobs wait for the writer.
func queued(s *Store, n int) {
	for {
		s.queue.mu.Lock()
		have := len(s.queue.jobs)
		s.queue.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

// TestAConflictFailsNoNeighbour commits 100 changes in one transaction, of
// which two are refused.
func TestAConflictFailsNoNeighbour(t *testing.T) {
	s := openNew(t)
	mustCommit(t, s, row("guard", "1"))
	release := hold(t, s)
	const n = 100
	versions, errs := make([]uint64, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c := row(fmt.Sprint(i), "1", storage.Entry{Name: "i", Sort: fmt.Sprint(i)})
			if i == 30 || i == 99 {
				c.Checks = []storage.Check{{Key: storage.Key{Kind: "k", ID: "guard"}, Version: 0}}
			}
			versions[i], errs[i] = s.Commit(t.Context(), c)
		})
	}
	queued(s, n)
	release()
	all.Wait()
	seen := make(map[uint64]bool)
	for i := range n {
		there := value(t, s, fmt.Sprint(i)) != ""
		if i == 30 || i == 99 {
			if !errors.Is(errs[i], storage.ErrConflict) || there {
				t.Errorf("change %d returned %v and its row is there: %v", i, errs[i], there)
			}
			continue
		}
		if errs[i] != nil || !there || seen[versions[i]] {
			t.Errorf("change %d returned version %d and %v, its row is there: %v", i, versions[i], errs[i], there)
		}
		seen[versions[i]] = true
	}
	page, err := s.List(t.Context(), storage.Query{Index: "i", Limit: n})
	if err != nil || len(page.Rows) != n-2 {
		t.Errorf("the index has %d rows, %v, want %d", len(page.Rows), err, n-2)
	}
}

// TestWithdrawn holds the lock from outside: who waits too long, or is told
// to stop, is refused and never written.
func TestWithdrawn(t *testing.T) {
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), Wait: time.Minute})
	mustCommit(t, s, row("before", "1"))
	release := hold(t, s)
	defer release()
	s.wait = 100 * time.Millisecond
	if _, err := s.Commit(t.Context(), row("late", "1")); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "within 100ms") {
		t.Errorf("Commit returned %v, want ErrUnavailable", err)
	}
	s.wait = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the client has gone")
	done := make(chan error)
	go func() {
		_, err := s.Commit(ctx, row("cancelled", "1"))
		done <- err
	}()
	queued(s, 1)
	cancel(cause)
	if err := <-done; !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, cause) {
		t.Errorf("Commit returned %v, want ErrUnavailable for %v", err, cause)
	}
	if got := value(t, s, "before"); got != "1" {
		t.Errorf("reads do not go on: %q", got)
	}
	if _, err := Open(t.Context(), Options{Path: s.path, Wait: 50 * time.Millisecond}); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "another process has held") {
		t.Errorf("Open returned %v, want ErrUnavailable", err)
	}
	release()
	mustCommit(t, s, row("after", "1"))
	for _, id := range []string{"late", "cancelled"} {
		if value(t, s, id) != "" {
			t.Errorf("the withdrawn row %q was written", id)
		}
	}
}

// TestCloseLeavesNothingBehind closes stores in use, one of them while its
// lock is held by someone else, and counts goroutines.
func TestCloseLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, held := range []bool{false, true} {
		s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), Wait: time.Second})
		mustCommit(t, s, row("a", "1"))
		value(t, s, "a")
		changed := s.Changed()
		release := func() {}
		if held {
			release = hold(t, s)
			go s.Commit(t.Context(), row("late", "1"))
			queued(s, 1)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		<-changed // nobody waits for ever
		release()
		if entries, _ := filepath.Glob(s.path + "-*"); len(entries) != 0 {
			t.Errorf("the last Close did not empty the log: %v", entries)
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestCloseWaits closes a store that has a commit on its way.
func TestCloseWaits(t *testing.T) {
	s := openNew(t)
	release := hold(t, s)
	done := make(chan error, 2)
	go func() {
		_, err := s.Commit(t.Context(), row("a", "1"))
		done <- err
	}()
	queued(s, 1)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for s.usable() == nil {
		runtime.Gosched()
	}
	release()
	if err := errors.Join(<-done, <-closed); err != nil {
		t.Error(err)
	}
	if got := value(t, openAt(t, Options{Path: s.path}), "a"); got != "1" {
		t.Errorf("the row is %q", got)
	}
}

// TestOwnCommitsAreToldAtOnce needs no look at the file: whoever waited knows
// before Commit returns.
func TestOwnCommitsAreToldAtOnce(t *testing.T) {
	s := openNew(t)
	for i := range 50 {
		changed := s.Changed()
		mustCommit(t, s, row("a", fmt.Sprint(i)))
		select {
		case <-changed:
		default:
			t.Fatalf("nobody was told of commit %d", i)
		}
	}
}

// TestAnUnclearCommit makes the disk fail within COMMIT, as far as SQLite can
// tell. Only a read tells then, and it has to tell of all or nothing.
func TestAnUnclearCommit(t *testing.T) {
	s := openNew(t)
	mustCommit(t, s, row("a", "0"))
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(info.Size()) + 20_000, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		n++
		c := row("a", fmt.Sprint(n))
		c.Puts = append(c.Puts, row("b", fmt.Sprint(n)).Puts...)
		_, err = s.Commit(t.Context(), c)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, storage.ErrUnknown) || !strings.Contains(err.Error(), "system log") {
		t.Errorf("Commit returned %v, want ErrUnknown and what to do", err)
	}
	a, b := value(t, s, "a"), value(t, s, "b")
	if a != b || a != fmt.Sprint(n) && a != fmt.Sprint(n-1) {
		t.Errorf("after %d commits the rows are at %q and %q", n, a, b)
	}
	mustCommit(t, s, row("a", "after"))
}

func TestACursorBelongsToItsPartition(t *testing.T) {
	s := openNew(t)
	e := storage.Entry{Name: "i", Sort: "1"}
	mustCommit(t, s, row("a", "1", e))
	mustCommit(t, s, row("b", "1", e))
	q := storage.Query{Index: "i", Partition: part, Limit: 1}
	page, err := s.List(t.Context(), q)
	if err != nil || page.Next == "" {
		t.Fatalf("the first page is %+v, %v", page, err)
	}
	q.After, q.Partition = page.Next, "u/bob"
	if _, err := s.List(t.Context(), q); err == nil || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("List returned %v, want a refusal", err)
	}
}

// TestAFullDisk fills a file that may not grow. What is refused is not there,
// what was there stays, and room that is made is used.
func TestAFullDisk(t *testing.T) {
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), maxPages: 60})
	mustCommit(t, s, row("counter", "0"))
	big := strings.Repeat("x", 10_000)
	written := 0
	var err error
	for err == nil {
		c := row(fmt.Sprint(written), big, storage.Entry{Name: "i", Sort: "x"})
		c.Puts = append(row("counter", fmt.Sprint(written+1)).Puts, c.Puts...)
		if _, err = s.Commit(t.Context(), c); err == nil {
			written++
		}
	}
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "full: make room") {
		t.Errorf("Commit returned %v, want ErrUnavailable and what to do", err)
	}
	if got := value(t, s, "counter"); got != fmt.Sprint(written) || written == 0 {
		t.Errorf("the counter is at %s, %d were written", got, written)
	}
	page, err := s.List(t.Context(), storage.Query{Index: "i", Limit: 100})
	if err != nil || len(page.Rows) != written {
		t.Errorf("%d rows are listed, %v, want %d", len(page.Rows), err, written)
	}
	mustCommit(t, s, storage.Change{Partition: part, Deletes: []storage.Key{{Kind: "k", ID: "0"}, {Kind: "k", ID: "1"}}})
	mustCommit(t, s, row("again", big))
}

// TestAPutInPlaceLeavesTheIndexAlone looks at the statements that were used.
func TestAPutInPlaceLeavesTheIndexAlone(t *testing.T) {
	s := openNew(t)
	entries := []storage.Entry{{Name: "i", Sort: "1"}, {Name: "j", Sort: "1"}}
	mustCommit(t, s, row("a", "1", entries...))
	c, err := connect(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	b := batch{c: c, now: time.Now()}
	same := row("a", "3", entries[1], entries[0])
	for _, change := range []storage.Change{row("a", "2"), same} {
		if _, err := b.change(&change); err != nil {
			t.Fatal(err)
		}
	}
	for query := range c.stmts {
		if strings.Contains(query, "entries (") || strings.Contains(query, "FROM entries") || strings.Contains(query, "expires = ?") {
			t.Errorf("a put in place ran %q", query)
		}
	}
	other := row("a", "4", entries[0])
	if _, err := b.change(&other); err != nil {
		t.Fatal(err)
	}
	if n, err := c.number("SELECT count(*) FROM entries"); n != 1 || err != nil {
		t.Errorf("a put with other entries left %d, %v, want 1", n, err)
	}
}

// TestQueryPlans asks SQLite how it would run the queries: by an index
// throughout, and in the order that is asked for without sorting.
func TestQueryPlans(t *testing.T) {
	s := openNew(t)
	c, err := connect(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for query, want := range map[string]string{
		selectRows[1]: "(partition=? AND kind=? AND id=?)",
		selectExpired: "rows_expires (expires<?)",
		listAll:       "PRIMARY KEY (name=? AND (sort,partition,kind,id)>(?,?,?,?) AND sort<?)",
		listPartition: "entries_partition (partition=? AND name=? AND (sort,kind,id)>(?,?,?) AND sort<?)",
	} {
		var plan []string
		stmt, err := c.stmt("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			t.Fatal(err)
		}
		args := make([]any, stmt.params)
		err = c.query(func(r *result) error {
			plan = append(plan, r.text(3))
			return nil
		}, "EXPLAIN QUERY PLAN "+query, args...)
		all := strings.Join(plan, "; ")
		if err != nil || strings.Contains(all, "SCAN") || strings.Contains(all, "TEMP") || !strings.Contains(all, want) {
			t.Errorf("the plan of %s is %q, %v, want %q", query, all, err, want)
		}
	}
}
