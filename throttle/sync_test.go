package throttle

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"
)

// pairOf is the count of a pair.
func (t *Throttle) pairOf(user string, source netip.Addr) int {
	k := &Ticket{}
	t.identify(k, by(user, source))
	if c := t.counts.find(k.charges[0].key); c != nil {
		return int(t.rules[ofPair].count(c, t.now()))
	}
	return 0
}

func TestARestartKeeps(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	th := open(t, path, c)
	signIn(t, th, by("alice", v4(1)))
	for i := range 10 {
		fail(t, th, by("alice", v4(100+i)))
	}
	failures(t, th, by("bob", v4(2)), 5)
	for i := range 100 {
		fail(t, th, by(fmt.Sprint("user", i), v4(3)))
	}
	if err := th.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(100 * time.Millisecond)
	th = open(t, path, c, func(cfg *Config) { cfg.Counters, cfg.Known = 1<<12, 1<<13 }) // settings may change too
	refused(t, th, by("alice", v4(200)), "account")
	refused(t, th, by("bob", v4(2)), "pair")
	refused(t, th, by("anyone", v4(3)), "source")
	signIn(t, th, by("alice", v4(1)))
	if got := th.accountOf("alice"); got != 10 {
		t.Errorf("%d of 10 failures are left", got)
	}
	c.advance(5 * time.Hour)
	if got := th.accountOf("alice"); got != 5 {
		t.Errorf("%d failures are left after five hours", got)
	}
	c.advance(10 * 24 * time.Hour)
	th.Close()
	th = open(t, path, c)
	signIn(t, th, by("alice", v4(200)))
	if !th.known.has(th.hashes.name(aUser, "alice").owner(), th.hashes.addr(aSource, v4(1), 32).place(), th.today()) {
		t.Error("a known pair is forgotten after ten days")
	}
}

// Of more counts than the store takes it has the fullest.
func TestTheStoreTakesTheFullest(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	th := open(t, path, c)
	failures(t, th, by("alice", v4(1)), 5)
	for i := range 20_000 {
		failures(t, th, by(fmt.Sprint("user", i), v4(1000+i)), 2)
	}
	c.advance(time.Second)
	th.Close()
	rows := 0
	for i := range countChunks {
		snap, err := th.cfg.Store.Read(t.Context(), partition, chunkKey(i))
		if err != nil {
			t.Fatal(err)
		}
		records, err := decodeRecords(snap.Rows[0].Value)
		if err != nil || len(records) > perChunk {
			t.Fatalf("%d records in a row: %v", len(records), err)
		}
		rows += len(records)
	}
	if rows != countChunks*perChunk {
		t.Errorf("the store has %d counts", rows)
	}
	th = open(t, path, c)
	if got := th.pairOf("alice", v4(1)); got != 5 {
		t.Errorf("%d of 5 failures", got)
	}
}

// The store being away holds up nobody; what was counted meanwhile arrives.
func TestTheStoreAway(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	var log bytes.Buffer
	th := open(t, path, c, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	other := open(t, path, c)
	signIn(t, th, by("alice", v4(1)))
	flush(t, th)
	failures(t, th, by("bob", v4(2)), 3)
	th.cfg.Store.Close()
	for range 5 {
		th.step(t.Context())
	}
	failures(t, th, by("bob", v4(2)), 1)
	signIn(t, th, by("alice", v4(1)))
	signIn(t, th, by("carol", v4(3)))
	if got := strings.Count(log.String(), "level=WARN"); got != 1 {
		t.Errorf("%d warnings:\n%s", got, &log)
	}
	th.cfg.Store = openStore(t, path, c)
	flush(t, th, other)
	if got := strings.Count(log.String(), "level=INFO"); got != 1 {
		t.Errorf("not a word of its return:\n%s", &log)
	}
	if got := other.pairOf("bob", v4(2)); got != 4 {
		t.Errorf("%d of 4 failures arrived", got)
	}
	carol := other.hashes.name(aUser, "carol")
	if !other.known.has(carol.owner(), other.hashes.addr(aSource, v4(3), 32).place(), other.today()) {
		t.Error("who signed in meanwhile is not known to others")
	}
}

// Successes of known pairs, the ordinary day, write nothing.
func TestQuietDaysWriteNothing(t *testing.T) {
	th, c := alone(t)
	version := func() uint64 {
		snap, err := th.cfg.Store.Read(t.Context(), partition, headKey)
		if err != nil {
			t.Fatal(err)
		}
		return snap.Rows[0].Version
	}
	failures(t, th, by("alice", v4(1)), 4)
	signIn(t, th, by("alice", v4(1)))
	signIn(t, th, Attempt{ClientID: "shop", Source: v4(9)})
	flush(t, th)
	failures(t, th, by("alice", v4(1)), 4)
	flush(t, th)
	signIn(t, th, by("alice", v4(1)))
	flush(t, th)
	before := version()
	for range 10 {
		c.advance(time.Second)
		signIn(t, th, by("alice", v4(1)))
		signIn(t, th, Attempt{ClientID: "shop", Source: v4(9)})
		fail(t, th, by(fmt.Sprint("typo", c.Now()), v4(2)))
		flush(t, th)
	}
	if version() != before {
		t.Error("something was written")
	}
	c.advance(24 * time.Hour)
	signIn(t, th, by("alice", v4(1)))
	flush(t, th)
	if version() == before {
		t.Error("the new day was not noted")
	}
}

// No name and no address is in the store, in any form that needs no key.
func TestNamesAreNotStored(t *testing.T) {
	th, _ := alone(t)
	signIn(t, th, by("wonderland", v4(0x414243)))
	failures(t, th, by("wonderland", v4(0x414243)), 5)
	failures(t, th, by("nobody-there", v4(0x444546)), 5)
	flush(t, th)
	rows := 0
	for i := range chunks {
		snap, err := th.cfg.Store.Read(t.Context(), partition, chunkKey(i))
		if err != nil {
			t.Fatal(err)
		}
		value := snap.Rows[0].Value
		if len(value) > 1 {
			rows++
		}
		for _, secret := range []string{"wonder", "nobody", "ABC", "DEF"} {
			if bytes.Contains(value, []byte(secret)) {
				t.Errorf("%q is in the row %s", secret, chunkKey(i).ID)
			}
		}
		if !snap.Rows[0].Expires.After(snap.Now) && len(value) > 0 {
			t.Errorf("the row %s stays for ever", chunkKey(i).ID)
		}
	}
	if rows < 2 {
		t.Fatalf("only %d rows were written", rows)
	}
	another, _ := alone(t)
	if th.hashes.name(aUser, "wonderland") == another.hashes.name(aUser, "wonderland") {
		t.Error("two stores have the same key")
	}
}

// A store whose clock was set back, or is not ours, makes no lock of counts.
func TestClocksThatDisagree(t *testing.T) {
	path, c, ours := filepath.Join(t.TempDir(), "jeton.db"), newClock(), newClock()
	th := open(t, path, c, func(cfg *Config) { cfg.Now = ours.Now })
	ours.advance(-72 * time.Hour) // as if this machine had been put right
	failures(t, th, by("alice", v4(1)), 5)
	flush(t, th)
	th.Close()
	c.advance(-500 * time.Hour)
	th = open(t, path, c, func(cfg *Config) { cfg.Now = ours.Now })
	if wait := refused(t, th, by("alice", v4(1)), "pair").RetryAfter; wait > time.Hour {
		t.Errorf("waits %s", wait)
	}
	ours.advance(time.Hour)
	c.advance(time.Hour)
	signIn(t, th, by("alice", v4(1)))
}

// Run and Close by the real clock, with everything at once: for the race
// detector.
func TestTogether(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	th := open(t, path, c, func(cfg *Config) { cfg.Flush = 10 * time.Millisecond })
	var all gosync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 500 {
				k, err := th.Try(by(fmt.Sprint("user", i%7), v6(1, i%5, worker)))
				if err != nil {
					c.advance(10 * time.Millisecond)
					continue
				}
				switch i % 3 {
				case 0:
					k.Success()
				case 1:
					k.Failure()
				}
				k.Cancel()
			}
		})
	}
	all.Wait()
	if err := th.Close(); err != nil {
		t.Fatal(err)
	}
	if err := th.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range th.counts.cells {
		if th.counts.cells[i].open != 0 {
			t.Errorf("%+v is open", th.counts.cells[i])
		}
	}
	again := open(t, path, c)
	if got, want := again.known.has(again.hashes.name(aUser, "user0").owner(), again.hashes.addr(aSource, v6(1, 0, 1), 64).place(), again.today()), true; got != want {
		t.Error("what was known at Close is not known now")
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{rowFormat})
	f.Add([]byte{rowFormat + 1})
	f.Add(encodeRecords([]record{{key: 1, kind: ofSource, empty: -1, last: 1 << 62}, {key: 2, kind: rules}}))
	f.Add(encodeKnown([]knownPair{{1, 2, 3}, {1 << 63, 2, 65535}}))
	f.Add((&head{}).encode())
	th, _ := alone(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if records, err := decodeRecords(b); err == nil {
			th.mergeCounts(records, nil)
		}
		if pairs, err := decodeKnown(b); err == nil {
			th.mergeKnown(3, pairs)
		}
		decodeHead(b)
		_, _ = th.Try(by("alice", v4(1)))
	})
}
