package sqlite_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"jeton/storage"
	"jeton/storage/sqlite"
)

// The benchmarks run what a refresh does to the store, with 32 callers and
// rows of the size of a session: go test -bench . -run ^$ ./storage/sqlite
const benchCallers = 32

func openBench(b *testing.B, rows int) *sqlite.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "jeton.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	value := bytes.Repeat([]byte("x"), 900)
	for i := range rows {
		key := storage.SessionKey(fmt.Sprintf("sid-%04d", i))
		_, err := s.Commit(b.Context(), storage.Change{Partition: benchPartition(i), Puts: []storage.Put{
			{Key: key, Value: value, Index: []storage.Entry{{Name: storage.IndexSessions, Sort: key.ID}}},
			{Key: storage.UserKey("u"), Value: value[:400]},
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetParallelism(benchCallers / 2) // times GOMAXPROCS, 2 on the machine that DESIGN speaks of
	return s
}

func benchPartition(i int) storage.Partition {
	return storage.UserPartition(fmt.Sprintf("user-%04d", i))
}

// rotate reads session and user and changes the session in place, checking
// both.
func rotate(b *testing.B, s *sqlite.Store, i int, read bool) {
	p, session, user := benchPartition(i), storage.SessionKey(fmt.Sprintf("sid-%04d", i)), storage.UserKey("u")
	var checks []storage.Check
	if read {
		snap, err := s.Read(b.Context(), p, session, user)
		if err != nil {
			b.Error(err)
			return
		}
		checks = []storage.Check{{Key: session, Version: snap.Rows[0].Version}, {Key: user, Version: snap.Rows[1].Version}}
	}
	_, err := s.Commit(b.Context(), storage.Change{Partition: p, Checks: checks,
		Puts: []storage.Put{{Key: session, Value: bytes.Repeat([]byte("y"), 900)}}})
	if err != nil {
		b.Error(err)
	}
}

func BenchmarkRotate(b *testing.B) { benchCommits(b, true) }
func BenchmarkCommit(b *testing.B) { benchCommits(b, false) }

func benchCommits(b *testing.B, read bool) {
	const perCaller = 32
	s := openBench(b, benchCallers*perCaller)
	var callers atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		first := int(callers.Add(1)-1) % benchCallers * perCaller
		for n := 0; pb.Next(); n++ {
			rotate(b, s, first+n%perCaller, read)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkRead(b *testing.B) {
	const rows = 1024
	s := openBench(b, rows)
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1)) % rows
			if _, err := s.Read(b.Context(), benchPartition(i), storage.SessionKey(fmt.Sprintf("sid-%04d", i)), storage.UserKey("u")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
