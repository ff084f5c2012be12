package redis

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
	"jeton/storage/redis/redistest"
)

// shift has one master of a cluster tell another time, to whoever asks for that
// and not for rows.
type shift struct{ by *atomic.Int64 }

func (s shift) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s shift) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s shift) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if told, ok := cmd.(*redis.TimeCmd); ok {
			told.SetVal(told.Val().Add(time.Duration(s.by.Load())))
		}
		return err
	}
}

// Of the masters of a cluster it is told, once each, when one's clock comes apart
// from the others', and when it is right again.
func TestMastersWhoseClocksAreApart(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	at, err := ParseURL(nodes.URL())
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s, err := Open(t.Context(), Options{Address: at, Log: slog.New(slog.NewTextHandler(&said, nil)), Source: true}) // no look but ours
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	odd := nodes.Nodes[1].Addr
	var by atomic.Int64
	err = s.client.(*redis.ClusterClient).ForEachMaster(t.Context(), func(_ context.Context, c *redis.Client) error {
		if c.Options().Addr == odd {
			c.AddHook(shift{&by})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const apart, together = "masters are apart", "masters are together again"
	for _, step := range []struct {
		by              time.Duration
		side            string // of the odd one
		apart, together int    // lines, so far
	}{
		{0, "", 0, 0},
		{storage.MostApart - time.Second, "", 0, 0},
		{10 * time.Minute, "fast=" + odd, 1, 0},
		{20 * time.Minute, "fast=" + odd, 1, 0},
		{0, "", 1, 1},
		{-10 * time.Minute, "slow=" + odd, 2, 1},
	} {
		by.Store(int64(step.by))
		s.lookOver(t.Context())
		// What is known is a bound from below: a machine under load answers late.
		if got := s.Durability().ClocksApart; got > step.by.Abs()+time.Second || step.by.Abs() > time.Minute && got < step.by.Abs()-time.Minute {
			t.Errorf("%v: apart by %v", step.by, got)
		}
		if a, b := strings.Count(said.String(), apart), strings.Count(said.String(), together); a != step.apart || b != step.together || !strings.Contains(said.String(), step.side) {
			t.Errorf("%v: %d and %d lines, want %d and %d, with %q\n%s", step.by, a, b, step.apart, step.together, step.side, &said)
		}
	}
}
