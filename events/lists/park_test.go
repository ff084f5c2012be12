package lists

import (
	"sync/atomic"
	"testing"
	"time"
)

// parkedAt has somebody of a source wait without a goroutine; the channel is
// closed by the answer.
func parkedAt(t *testing.T, p *Publisher, e *Edition, source string, d time.Duration, gone func() bool) <-chan struct{} {
	t.Helper()
	seat := p.Sit(source)
	if seat == nil {
		t.Fatal("there is no seat")
	}
	answered := make(chan struct{})
	seat.Park(e, d, func() { close(answered) }, gone)
	return answered
}

func stays() bool { return false }

func quiet(t *testing.T, p *Publisher, answered <-chan struct{}, waiting int) {
	t.Helper()
	select {
	case <-answered:
		t.Error("answered")
	default:
	}
	if p.Waiting() != waiting {
		t.Errorf("%d wait, want %d", p.Waiting(), waiting)
	}
}

func TestParkedAreAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	place, jti := w.token()
	defer w.Release()
	e := w.latest(place.List)
	changed := parkedAt(t, w.Publisher, e, "a", time.Hour, stays)
	quiet(t, w.Publisher, changed, 1)
	<-parkedAt(t, w.Publisher, e, "a", time.Nanosecond, stays) // its time is over
	quiet(t, w.Publisher, changed, 1)
	w.revoke(jti, 0)
	w.latest(place.List)
	<-changed
	<-parkedAt(t, w.Publisher, e, "a", time.Hour, stays) // it has changed before
	e = w.latest(place.List)
	dropped := parkedAt(t, w.Publisher, e, "a", time.Hour, stays)
	w.mu.Lock()
	w.drop(e.list)
	w.mu.Unlock()
	<-dropped
	<-parkedAt(t, w.Publisher, e, "a", time.Hour, stays) // nobody follows it
	e = w.latest(place.List)
	released := parkedAt(t, w.Publisher, e, "a", time.Hour, stays)
	late := w.Sit("a")
	w.Release()
	<-released
	answered := make(chan struct{})
	late.Park(e, time.Hour, func() { close(answered) }, stays)
	<-answered
	if w.Waiting() != 0 || w.Sit("a") != nil {
		t.Errorf("%d wait after the end", w.Waiting())
	}
}

// Those who have left are found when somebody needs a seat, of whichever
// source, and not more than once in a while.
func TestParkedWhoHaveLeftMakeRoom(t *testing.T) {
	w := newWorld(t)
	place, _ := w.token()
	defer w.Release()
	e := w.latest(place.List)
	w.wait.most = 3
	var left atomic.Bool
	first := parkedAt(t, w.Publisher, e, "a", time.Hour, left.Load)
	second := parkedAt(t, w.Publisher, e, "b", time.Hour, stays)
	third := parkedAt(t, w.Publisher, e, "c", time.Hour, left.Load)
	if w.Sit("d") != nil {
		t.Fatal("there is a fourth seat")
	}
	quiet(t, w.Publisher, first, 3)
	left.Store(true)
	if w.Sit("d") != nil {
		t.Fatal("it was looked again at once")
	}
	w.wait.swept = w.wait.swept.Add(-sweepEvery)
	seat := w.Sit("d")
	if seat == nil {
		t.Fatal("there is no seat")
	}
	<-first
	<-third
	quiet(t, w.Publisher, second, 2)
	seat.Leave()
	quiet(t, w.Publisher, second, 1)
}
