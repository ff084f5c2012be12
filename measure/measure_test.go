package measure_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jeton/measure"
)

func TestStagesAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all measure.Histogram
		r := &measure.Request{Traced: true}
		ctx := measure.With(t.Context(), r)
		for _, c := range []struct {
			ctx  context.Context
			s    measure.Stage
			took time.Duration
		}{
			{ctx, measure.Sign, time.Millisecond},
			{ctx, measure.Sign, 2 * time.Millisecond},
			{ctx, measure.KDF, 40 * time.Millisecond},
			{t.Context(), measure.Sign, time.Hour}, // of no request
		} {
			timer := measure.Begin(c.ctx, c.s, &all)
			time.Sleep(c.took)
			timer.End()
		}
		if took, calls := r.Took(measure.Sign); took != 3*time.Millisecond || calls != 2 {
			t.Errorf("signing: %v in %d", took, calls)
		}
		if took, calls := r.Took(measure.StoreRead); took != 0 || calls != 0 {
			t.Errorf("reading, which did not happen: %v in %d", took, calls)
		}
		parts := r.Parts()
		if len(parts) != 3 || parts[2].Stage != measure.KDF || parts[2].Begun.Sub(parts[0].Begun) != 3*time.Millisecond {
			t.Errorf("parts: %+v", parts)
		}
		count, sum, upTo := all.Read()
		if count != 4 || sum != time.Hour.Seconds()+0.043 || upTo[0.001] != 1 || upTo[0.0025] != 2 || upTo[0.05] != 3 || upTo[5] != 3 {
			t.Errorf("in all %d, %v, %v", count, sum, upTo)
		}
	})
}

// An import notes from many goroutines, and more than a trace should hold.
func TestPartsAreBounded(t *testing.T) {
	var all measure.Histogram
	r := &measure.Request{Traced: true}
	ctx := measure.With(t.Context(), r)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				measure.Begin(ctx, measure.StoreCommit, &all).End()
			}
		})
	}
	wg.Wait()
	if _, calls := r.Took(measure.StoreCommit); calls != 800 || len(r.Parts()) != 64 {
		t.Errorf("%d calls, %d parts", calls, len(r.Parts()))
	}
	untraced := new(measure.Request)
	measure.Begin(measure.With(t.Context(), untraced), measure.KDF, &all).End()
	if len(untraced.Parts()) != 0 {
		t.Error("parts are kept though nobody traces")
	}
}

func BenchmarkStage(b *testing.B) {
	var all measure.Histogram
	ctx := measure.With(b.Context(), new(measure.Request))
	b.ReportAllocs()
	for b.Loop() {
		measure.Begin(ctx, measure.Sign, &all).End()
	}
}
