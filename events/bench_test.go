package events

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"jeton/storage"
)

// BenchmarkPublish measures what one server can take from the outbox for all: each
// event, of another user every four, is told to one that listens and kept as
// history. On Redis: see the Makefile, .ci/with-redis.
func BenchmarkPublish(b *testing.B) {
	const batch = 4000
	s, c := open(b)
	p := NewPublisher(s, slog.New(slog.DiscardHandler))
	taken := 0
	p.Subscribe("listener", func(context.Context, storage.Event) error { taken++; return nil })
	p.Follow(History{Store: s, Kept: 7 * storage.Day}.Follow)
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		for i := range batch {
			emit(b, s, c.now(), fmt.Sprintf("u%d-%d", round, i))
		}
		taken = 0
		b.StartTimer()
		if held, err := p.step(b.Context()); err != nil || !held || taken != batch {
			b.Fatal(taken, held, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/event")
}

// BenchmarkSweep measures how fast expired rows go that stand in an index, as those
// of sessions and of history do.
func BenchmarkSweep(b *testing.B) {
	const batch = 4000
	s, c := open(b)
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		for i := range batch / 4 {
			change := storage.Change{Partition: storage.UserPartition(fmt.Sprintf("u%d", i))}
			for j := range 4 {
				id := fmt.Sprintf("%d-%d-%d", round, i, j)
				change.Puts = append(change.Puts, storage.Put{
					Key: storage.Key{Kind: kindHistory, ID: id}, Value: make([]byte, 300), Expires: c.now().Add(time.Second),
					Index: []storage.Entry{{Name: indexHistory, Sort: id}, {Name: indexClientHistory("app"), Sort: id}},
				})
			}
			if _, err := s.Commit(b.Context(), change); err != nil {
				b.Fatal(err)
			}
		}
		c.advance(time.Minute)
		b.StartTimer()
		gone := 0
		for {
			n, err := s.Sweep(b.Context(), sweepRows)
			if err != nil {
				b.Fatal(err)
			}
			if gone += n; n < sweepRows {
				break
			}
		}
		if gone != batch {
			b.Fatalf("%d of %d rows", gone, batch)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/row")
}
