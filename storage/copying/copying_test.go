package copying_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/copying"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
	"jeton/storage/sqlite"
)

// end is a store at one end of a copy.
type end struct {
	storage.Backend // nil where it is only read as a whole
	storage.Source
}

func file(t *testing.T, path string) end {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	reading, err := sqlite.OpenSource(path)
	must(t, err)
	t.Cleanup(func() { reading.Close() })
	return end{s, reading}
}

func onRedis(t *testing.T, url string) end {
	t.Helper()
	at, err := redis.ParseURL(url)
	must(t, err)
	s, err := redis.Open(t.Context(), redis.Options{Address: at})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return end{s, s}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a source with rows of all shapes.
type world struct {
	end
	t *testing.T
}

func (w world) put(p storage.Partition, puts ...storage.Put) {
	w.t.Helper()
	_, err := w.Commit(w.t.Context(), storage.Change{Partition: p, Puts: puts})
	must(w.t, err)
}

func (w world) fill(n int) {
	w.t.Helper()
	for i := range n {
		user := storage.UserPartition(fmt.Sprintf("u%d", i))
		w.put(user,
			storage.Put{Key: storage.Key{Kind: "user", ID: "u"}, Value: []byte{0, 255, byte(i)}, Index: []storage.Entry{{Name: "users", Sort: fmt.Sprint(i)}}},
			storage.Put{Key: storage.Key{Kind: "session", ID: fmt.Sprint(i)}, Value: []byte("é \" \\"), Expires: time.Now().Add(time.Duration(i+2) * time.Hour),
				Index: []storage.Entry{{Name: "sessions", Sort: fmt.Sprint(i)}, {Name: "live/a", Sort: ""}}},
			storage.Put{Key: storage.Key{Kind: "bare", ID: "no index, no value"}, Value: []byte{}},
			storage.Put{Key: storage.Key{Kind: "over", ID: "expired"}, Value: []byte("x"), Expires: time.Now().Add(-time.Hour)})
	}
}

func copyOf(t *testing.T, from, to end, journal string) *copying.Copy {
	t.Helper()
	j, err := copying.OpenJournal(journal, "a b")
	must(t, err)
	t.Cleanup(func() { j.Close() })
	c := &copying.Copy{From: from.Source, To: struct {
		storage.Backend
		storage.Source
	}{to.Backend, to.Source}, Journal: j}
	if whole, ok := to.Backend.(copying.Target); ok {
		c.To = whole
	}
	return c
}

func same(t *testing.T, c *copying.Copy) {
	t.Helper()
	compared, difference, err := c.Verify(t.Context(), 1)
	must(t, err)
	if difference != nil || compared == 0 {
		t.Fatalf("compared %d, found %v", compared, difference)
	}
}

// TestCopies goes from each kind of store to each other.
func TestCopies(t *testing.T) {
	kinds := map[string]func(*testing.T) end{
		"sqlite": func(t *testing.T) end { return file(t, filepath.Join(t.TempDir(), "store.db")) },
		"redis":  func(t *testing.T) end { return onRedis(t, "redis://"+redistest.Start(t).Addr) },
		"cluster": func(t *testing.T) end {
			return onRedis(t, redistest.StartCluster(t, 3).URL())
		},
	}
	for _, way := range [][2]string{{"sqlite", "sqlite"}, {"sqlite", "redis"}, {"redis", "sqlite"}, {"sqlite", "cluster"}, {"cluster", "redis"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			w := world{kinds[way[0]](t), t}
			w.fill(120)
			to := kinds[way[1]](t)
			c := copyOf(t, w.end, to, filepath.Join(t.TempDir(), "journal"))
			p, err := c.Pass(t.Context())
			must(t, err)
			if p.Seen != 360 || p.Copied != 360 {
				t.Fatalf("the first pass: %+v", p)
			}
			// What changes between the passes, and what goes.
			w.put(storage.UserPartition("u7"), storage.Put{Key: storage.Key{Kind: "user", ID: "u"}, Value: []byte("changed"), Index: []storage.Entry{}})
			_, err = w.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u8"), Deletes: []storage.Key{{Kind: "session", ID: "8"}}})
			must(t, err)
			if p, err = c.Pass(t.Context()); err != nil || p.Copied != 1 {
				t.Fatalf("the second pass: %+v %v", p, err)
			}
			if _, difference, err := c.Verify(t.Context(), 1); err != nil || difference == nil {
				t.Fatalf("the removed row is not missed: %v", err)
			}
			if p, err = c.Last(t.Context()); err != nil || p.Removed != 1 || p.Copied != 0 {
				t.Fatalf("the last pass: %+v %v", p, err)
			}
			same(t, c)
			page, err := to.List(t.Context(), storage.Query{Index: "users", Limit: 200})
			must(t, err)
			if len(page.Rows) != 119 {
				t.Errorf("the index has %d rows", len(page.Rows))
			}
		})
	}
}

// TestDifferencesAreFound changes one thing of one row behind the copy's back.
func TestDifferencesAreFound(t *testing.T) {
	for what, put := range map[string]storage.Put{
		"value":   {Value: []byte("other"), Expires: time.Now().Add(9 * time.Hour).Truncate(time.Microsecond), Index: []storage.Entry{{Name: "i", Sort: "1"}}},
		"expiry":  {Value: []byte("v"), Expires: time.Now().Add(8 * time.Hour), Index: []storage.Entry{{Name: "i", Sort: "1"}}},
		"entries": {Value: []byte("v"), Expires: time.Now().Add(9 * time.Hour).Truncate(time.Microsecond), Index: []storage.Entry{{Name: "i", Sort: "2"}}},
	} {
		t.Run(what, func(t *testing.T) {
			w := world{file(t, filepath.Join(t.TempDir(), "a.db")), t}
			to := file(t, filepath.Join(t.TempDir(), "b.db"))
			k := storage.Key{Kind: "k", ID: "1"}
			was := storage.Put{Key: k, Value: []byte("v"), Expires: put.Expires, Index: []storage.Entry{{Name: "i", Sort: "1"}}}
			if what == "expiry" {
				was.Expires = put.Expires.Add(time.Millisecond)
			}
			w.put("u/1", was)
			c := copyOf(t, w.end, to, filepath.Join(t.TempDir(), "journal"))
			_, err := c.Last(t.Context())
			must(t, err)
			same(t, c)
			put.Key = k
			world{to, t}.put("u/1", put)
			if _, difference, err := c.Verify(t.Context(), 1); err != nil || difference == nil {
				t.Errorf("nothing was found: %v", err)
			}
		})
	}
}

// stopping is a source that ends after some pages.
type stopping struct {
	storage.Source
	left atomic.Int64
	stop context.CancelFunc
}

func (s *stopping) Wholes(ctx context.Context, p storage.Partition, keys ...storage.Key) ([]storage.Whole, error) {
	if s.left.Add(-1) < 0 {
		s.stop()
		return nil, context.Canceled
	}
	return s.Source.Wholes(ctx, p, keys...)
}

// TestInterruptedCopiesGoOn ends a copy many times, with half an entry at the end
// of its journal, while the source changes.
func TestInterruptedCopiesGoOn(t *testing.T) {
	w := world{file(t, filepath.Join(t.TempDir(), "a.db")), t}
	w.fill(1500) // more than the runs that are ended can copy
	to := file(t, filepath.Join(t.TempDir(), "b.db"))
	journal := filepath.Join(t.TempDir(), "journal")
	total := int64(0)
	for n := range 4 {
		j, err := copying.OpenJournal(journal, "a b")
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		from := &stopping{Source: w.Source, stop: stop}
		from.left.Store(300) // more than are under way
		c := &copying.Copy{From: from, To: to.Backend, Journal: j}
		p, err := c.Pass(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: %+v %v", n, p, err)
		}
		total += p.Copied
		must(t, j.Close())
		f, err := os.OpenFile(journal, os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.Write([]byte{1, 2, 3})
		must(t, errors.Join(err, f.Close()))
		w.put(storage.UserPartition(fmt.Sprintf("u%d", rand.IntN(1500))), storage.Put{Key: storage.Key{Kind: "user", ID: "u"}, Value: []byte(fmt.Sprint(n))})
	}
	c := copyOf(t, w.end, to, journal)
	p, err := c.Last(t.Context())
	must(t, err)
	if total < 100 || p.Copied > 4500-total+4 { // none is copied again
		t.Errorf("%d rows were copied before, %d of %d at the end", total, p.Copied, p.Seen)
	}
	same(t, c)
}

// TestWhatTheJournalForgotIsRemoved: a copy is killed before its journal is on the
// disk, and a row that it copied goes from the source.
func TestWhatTheJournalForgotIsRemoved(t *testing.T) {
	w := world{file(t, filepath.Join(t.TempDir(), "a.db")), t}
	w.fill(3)
	to := file(t, filepath.Join(t.TempDir(), "b.db"))
	dir := t.TempDir()
	_, err := copyOf(t, w.end, to, filepath.Join(dir, "lost")).Pass(t.Context())
	must(t, err)
	_, err = w.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u1"), Deletes: []storage.Key{{Kind: "session", ID: "1"}}})
	must(t, err)
	c := copyOf(t, w.end, to, filepath.Join(dir, "begun anew"))
	p, err := c.Last(t.Context())
	must(t, err)
	if p.Removed != 1 {
		t.Errorf("%+v", p)
	}
	same(t, c)
}

func TestJournalsOfOtherCopiesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := copying.OpenJournal(path, "a b")
	must(t, err)
	must(t, j.Close())
	if _, err := copying.OpenJournal(path, "a c"); !errors.Is(err, copying.ErrOther) {
		t.Errorf("%v", err)
	}
}

// TestATargetThatForgetsIsCopiedAnew kills a Redis that keeps nothing but what it
// was told to save: between two passes, and within one.
func TestATargetThatForgetsIsCopiedAnew(t *testing.T) {
	w := world{file(t, filepath.Join(t.TempDir(), "a.db")), t}
	w.fill(800)
	server := redistest.Start(t)
	to := filling(t, server.Addr, "source")
	c := copyOf(t, w.end, to, filepath.Join(t.TempDir(), "journal"))
	_, err := c.Pass(t.Context())
	must(t, err)
	server.Do("save")
	lost := storage.Put{Key: storage.Key{Kind: "user", ID: "u"}, Value: []byte("disabled"), Index: []storage.Entry{}}
	w.put(storage.UserPartition("u3"), lost)
	p, err := c.Pass(t.Context())
	if err != nil || p.Copied != 1 || p.Anew {
		t.Fatalf("%+v %v", p, err)
	}
	server.Kill()
	server.Run()
	p, err = c.Last(t.Context())
	if err != nil || !p.Anew || p.Copied != p.Seen {
		t.Errorf("after the target has forgotten: %+v %v", p, err)
	}
	same(t, c)

	// Within a pass: what was lost is less than what was written.
	c.Journal.Close()
	c = copyOf(t, w.end, to, filepath.Join(t.TempDir(), "another"))
	server.Do("save")
	once := sync.OnceFunc(func() { server.Kill(); server.Run() })
	var n atomic.Int64
	c.From = &pausing{w.Source, func() {
		if n.Add(1) == 600 { // more than are under way
			once()
		}
	}}
	if p, err = c.Pass(t.Context()); !errors.Is(err, copying.ErrForgot) {
		t.Errorf("a target that forgot while it was filled: %+v %v", p, err)
	}
	c.From = w.Source
	if p, err = c.Last(t.Context()); err != nil || p.Copied != p.Seen {
		t.Errorf("the copy after it: %+v %v", p, err)
	}
	same(t, c)
}

// pausing has something done at each read.
type pausing struct {
	storage.Source
	at func()
}

func (p *pausing) Wholes(ctx context.Context, part storage.Partition, keys ...storage.Key) ([]storage.Whole, error) {
	rows, err := p.Source.Wholes(ctx, part, keys...)
	p.at()
	return rows, err
}

func filling(t *testing.T, addr, from string) end {
	t.Helper()
	at, err := redis.ParseURL("redis://" + addr)
	must(t, err)
	s, err := redis.Open(t.Context(), redis.Options{Address: at, Filling: from})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return end{s, s}
}
