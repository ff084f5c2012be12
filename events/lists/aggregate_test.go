package lists

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// hanging is a store that does not answer, and counts who asks.
type hanging struct {
	storage.Backend
	asked int
}

func (h *hanging) List(ctx context.Context, _ storage.Query) (storage.Page, error) {
	h.asked++
	<-ctx.Done()
	return storage.Page{}, storage.ErrUnavailable
}

// Who asks which lists there are waits for a store that hangs as long as one look
// may take, or until he leaves, and not for those before him.
func TestAggregationDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hanging)
		p := newPublisher(Config{Store: storage.New(h)})
		defer p.Close()
		begun := time.Now()
		hurried, cancel := context.WithTimeout(t.Context(), lookTime/4)
		defer cancel()
		waited := make(chan time.Duration)
		for range 4 {
			go func() {
				if _, err := p.All(hurried); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("who left got %v", err)
				}
				waited <- time.Since(begun)
			}()
			go func() {
				if _, err := p.All(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("who stayed got %v", err)
				}
				waited <- time.Since(begun)
			}()
		}
		for i := range 8 {
			want := lookTime / 4
			if i >= 4 {
				want = lookTime
			}
			if got := <-waited; got != want {
				t.Errorf("number %d came back after %v, not %v", i, got, want)
			}
		}
		if _, err := p.All(t.Context()); !errors.Is(err, storage.ErrUnavailable) || time.Since(begun) != lookTime || h.asked != 1 {
			t.Errorf("a look has failed just now, and the next one got %v after %v; the store was asked %d times", err, time.Since(begun), h.asked)
		}
		time.Sleep(lookEvery)
		if _, err := p.All(t.Context()); !errors.Is(err, storage.ErrUnavailable) || h.asked != 2 {
			t.Errorf("a second later: %v; the store was asked %d times", err, h.asked)
		}
	})
}

// What was read goes on counting while the store is away.
func TestAggregationOutlivesTheStore(t *testing.T) {
	w := newWorld(t)
	p, _ := w.token()
	want := []string{status.URI(w.cfg.Issuer, p.List)}
	for _, away := range []bool{false, true} {
		if away {
			must(t, w.store.Close())
			w.all.read = time.Now().Add(-time.Hour)
		}
		if got, err := w.All(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("away %v: %v, %v", away, got, err)
		}
	}
}
