package grants_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// flaky is a store that goes away at a rotation: nobody learns what became of it.
type flaky struct {
	storage.Backend
	mu sync.Mutex
	// armed: the next commit of a rotation is lost on its way back, or held, as
	// one that a stopped Redis has taken and not yet run.
	armed, hold bool
	held        *storage.Change
	// away: that many calls fail.
	away int
	// asked is closed when the mark is about to be written, which waits for let.
	asked, let chan struct{}
	// slow, if there is one, gets what holds up who has just read.
	slow chan chan struct{}
}

func (f *flaky) around(b storage.Backend) storage.Backend {
	f.Backend, f.asked, f.let = b, make(chan struct{}), make(chan struct{})
	return f
}

func (f *flaky) out() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away > 0 {
		f.away--
		return storage.ErrUnavailable
	}
	return nil
}

func (f *flaky) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	if err := f.out(); err != nil {
		return storage.Snapshot{}, err
	}
	snap, err := f.Backend.Read(ctx, p, keys...)
	f.mu.Lock()
	var slow chan chan struct{}
	if p == storage.UserPartition("u-alice") {
		slow, f.slow = f.slow, nil
	}
	f.mu.Unlock()
	if slow != nil {
		goOn := make(chan struct{})
		slow <- goOn
		<-goOn
	}
	return snap, err
}

func (f *flaky) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if err := f.out(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	armed, hold := f.armed, f.hold
	if f.armed = false; armed {
		f.away = 4 // the look for what became of it, and the first ones of the mark
	}
	if armed && hold {
		f.held = &c
	}
	f.mu.Unlock()
	switch {
	case armed && hold:
		return 0, storage.ErrUnknown
	case armed:
		if _, err := f.Backend.Commit(ctx, c); err != nil {
			return 0, err
		}
		return 0, storage.ErrUnknown
	case f.asked != nil && tells(c, events.ResponseLost):
		close(f.asked)
		<-f.let
		f.asked = nil
	}
	return f.Backend.Commit(ctx, c)
}

func tells(c storage.Change, event string) bool {
	for _, p := range c.Puts {
		if p.Key.Kind == storage.KindEvent && bytes.Contains(p.Value, []byte(`"`+event+`"`)) {
			return true
		}
	}
	return false
}

// goneUnder rotates on a store that goes away: it has been read for the mark, which
// is held up from here on.
func (f *flaky) goneUnder(w *world) (grants.Response, chan error) {
	a := w.login()
	f.armed = true
	failed := make(chan error, 1)
	go func() {
		_, err := w.refresh(a.RefreshToken)
		failed <- err
	}()
	<-f.asked
	return a, failed
}

// A store that goes away under a rotation, and is back: the client that asks again
// at once, before the mark can be there, gets its answer, with single use too.
func TestR11_TheStoreGoesAwayUnderARotation(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	w := newWorldOn(t, f.around, nil)
	a, failed := f.goneUnder(w)
	b := w.must(a.RefreshToken)
	if again := w.must(a.RefreshToken); again.RefreshToken != b.RefreshToken {
		t.Error("a second branch")
	}
	// Another has read what was there before the mark, and decides after it came.
	slow, late := make(chan chan struct{}), make(chan error, 1)
	f.mu.Lock()
	f.slow = slow
	f.mu.Unlock()
	go func() {
		_, err := w.refresh(a.RefreshToken)
		late <- err
	}()
	goOn := <-slow
	close(f.let)
	if err := <-failed; !errors.Is(err, storage.ErrUnknown) {
		t.Errorf("the refresh whose outcome nobody knew: %v", err)
	}
	if lost := w.events(events.ResponseLost); len(lost) != 1 {
		t.Errorf("%d marks", len(lost))
	}
	close(goOn)
	if err := <-late; err != nil {
		t.Errorf("who had read before the mark came: %v", err)
	}
	// Another process goes by the mark.
	again, err := w.other().Token(t.Context(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: a.RefreshToken})
	if err != nil || again.RefreshToken != b.RefreshToken {
		t.Errorf("at another process: %v", err)
	}
	w.must(b.RefreshToken)
	// And not for ever: the successor was used.
	_, err = w.refresh(a.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
}

// The same, and the commit arrives when the store has said that it is not there.
func TestR11_ARotationThatArrivesLate(t *testing.T) {
	t.Parallel()
	f := &flaky{hold: true}
	w := newWorldOn(t, f.around, nil)
	close(f.let)
	a := w.login()
	f.armed = true
	if _, err := w.refresh(a.RefreshToken); !errors.Is(err, storage.ErrUnknown) {
		t.Fatalf("the refresh whose outcome nobody knew: %v", err)
	}
	if _, err := f.Backend.Commit(t.Context(), *f.held); err != nil {
		t.Fatal(err)
	}
	b := w.must(a.RefreshToken)
	w.must(b.RefreshToken)
}

// A store that is back and takes no mark: what the process remembers in its place
// ends when the mark would have ended.
func TestR11_AMemoryLastsNoLongerThanItsMark(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	w := newWorldOn(t, f.around, nil)
	a, failed := f.goneUnder(w)
	w.clock.Add(59 * time.Second)
	w.must(a.RefreshToken)
	w.clock.Add(time.Second)
	_, err := w.refresh(a.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	close(f.let)
	if err := <-failed; !errors.Is(err, storage.ErrUnknown) {
		t.Error(err)
	}
	if lost := w.events(events.ResponseLost); len(lost) != 0 {
		t.Errorf("a session that is over was marked: %v", lost)
	}
}

// A process that has closed its store waits for no mark.
func TestMarksEndWithTheStore(t *testing.T) {
	w := newWorld(t, nil)
	b := w.must(w.login().RefreshToken)
	if err := w.Store.Close(); err != nil {
		t.Fatal(err)
	}
	w.Undelivered(b)
}
