package lists

import (
	"context"
	"sync"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// hooked is a store that something happens beside, once, at a moment of a test's
// choice: just before it is asked for an index, or just after a row was read.
type hooked struct {
	storage.Backend
	mu     sync.Mutex
	before map[string]func() // by index
	after  map[string]func() // by partition, or index
	lost   storage.Partition // it cannot be read
	least  string            // nor what stands before it in IndexRecent
}

// A look at all that may be late, and that takes too long, keeps no revocation of
// now from being published.
func TestL11_ALongLookHindersNoShortOne(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	w.latest(p.List)
	w.clock.pass(deepEvery)
	w.hooks.least = status.Recent(w.clock.Now().Add(-status.Overlap / 2))
	w.look(0)
	if w.well() {
		t.Fatal("nothing was too long")
	}
	w.revoke(jti, 0)
	if !w.latest(p.List).has(t, p.Index) {
		t.Error("not published")
	}
	w.clock.pass(deepEvery)
	w.hooks.least = ""
	w.latest(p.List)
	if !w.deep.Equal(w.clock.Now()) {
		t.Error("what may be late was not looked at again")
	}
}

// on has something happen, once, at the next moment of that name.
func (h *hooked) on(hooks map[string]func(), at string, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hooks[at] = f
}

func (h *hooked) lose(p storage.Partition, _ storage.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = p
}

func (h *hooked) fire(hooks map[string]func(), at string) {
	h.mu.Lock()
	f := hooks[at]
	delete(hooks, at)
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

func (h *hooked) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	h.mu.Lock()
	lost := p == h.lost
	h.mu.Unlock()
	if lost {
		return storage.Snapshot{}, storage.ErrUnavailable
	}
	s, err := h.Backend.Read(ctx, p, keys...)
	h.fire(h.after, string(p))
	return s, err
}

func (h *hooked) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	h.fire(h.before, q.Index)
	if q.Index == status.IndexRecent && q.From < h.least {
		return storage.Page{}, storage.ErrUnavailable
	}
	page, err := h.Backend.List(ctx, q)
	h.fire(h.after, q.Index)
	return page, err
}

// revocation is something that sets a bit of a list.
type revocation struct {
	at     status.Place
	revoke func()
	// read is where a reading of the list has read what it says, bar the rest.
	read string
}

// client writes the client app, and the note that its blocks be looked at.
func (w *world) client(epoch uint64) uint64 {
	w.t.Helper()
	c := storage.Client{ID: "app", Epoch: epoch}
	w.commit(storage.ClientPartition("app"), storage.Put{Key: storage.ClientKey("app"), Value: storage.Encode(c), Index: storage.ClientIndex(c)},
		status.ClientPut("app", w.clock.Now()))
	rec, _, err := w.store.Client(w.t.Context(), "app")
	must(w.t, err)
	return rec.Version
}

// revocations are of each kind, in the list of short tokens.
var revocations = map[string]func(*world) revocation{
	"the end of a client": func(w *world) revocation {
		version := w.client(1)
		p, err := w.places.NextForClient(w.t.Context(), w.clock.Now(), "app", version, 1, w.clock.Now().Add(time.Minute))
		must(w.t, err)
		return revocation{p, func() { w.client(2) }, string(storage.ClientPartition("app"))}
	},
	"a place": func(w *world) revocation {
		p, jti := w.token()
		return revocation{p, func() { w.revoke(jti, 0) }, storage.IndexRevoked(p.List)}
	},
}

// hold holds the list without a look.
func (w *world) hold(number uint32) {
	w.t.Helper()
	_, err := w.list(w.t.Context(), number)
	must(w.t, err)
}

// evict lets go of a list, as makeRoom and holding do.
func (w *world) evict(number uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(w.lists[number])
}

// orders are in what order a list is read, a revocation committed and the store
// looked at for another list, which is held from the beginning. None of them
// publishes the list.
var orders = map[string]func(*world, *hooked, revocation){
	"held, revoked, look": func(w *world, _ *hooked, r revocation) {
		w.hold(r.at.List)
		r.revoke()
		w.look(0)
	},
	"revoked, look, held": func(w *world, _ *hooked, r revocation) {
		r.revoke()
		w.look(0)
		w.hold(r.at.List)
	},
	"read, revoked, held, look": func(w *world, h *hooked, r revocation) {
		h.on(h.after, r.read, r.revoke)
		w.hold(r.at.List)
		w.look(0)
	},
	"read, revoked, look, held": func(w *world, h *hooked, r revocation) {
		h.on(h.after, r.read, func() { r.revoke(); w.look(0) })
		w.hold(r.at.List)
	},
	"revoked before, read, look, held": func(w *world, h *hooked, r revocation) {
		r.revoke()
		h.on(h.after, r.read, func() { w.look(0) })
		w.hold(r.at.List)
	},
	"look begins, read, held, revoked, look ends": func(w *world, h *hooked, r revocation) {
		h.on(h.before, status.IndexRecent, func() { w.hold(r.at.List); r.revoke() })
		w.look(0)
	},
	"read, revoked, look begins, held, look ends": func(w *world, h *hooked, r revocation) {
		reached, release, held := make(chan bool), make(chan bool), make(chan bool)
		h.on(h.after, r.read, func() { close(reached); <-release })
		go func() { w.hold(r.at.List); close(held) }()
		<-reached
		r.revoke()
		h.on(h.before, status.IndexRecent, func() { close(release); <-held })
		w.look(0)
	},
	"read, look begins, revoked, held, look ends": func(w *world, h *hooked, r revocation) {
		reached, release, held := make(chan bool), make(chan bool), make(chan bool)
		h.on(h.after, r.read, func() { close(reached); <-release })
		go func() { w.hold(r.at.List); close(held) }()
		<-reached
		h.on(h.before, status.IndexRecent, func() { r.revoke(); close(release); <-held })
		w.look(0)
	},
	"read, look begins, revoked, look ends, held": func(w *world, h *hooked, r revocation) {
		h.on(h.after, r.read, func() {
			h.on(h.before, status.IndexRecent, r.revoke)
			w.look(0)
		})
		w.hold(r.at.List)
	},
	"held, let go, read, revoked, look, held": func(w *world, h *hooked, r revocation) {
		w.hold(r.at.List)
		w.look(0)
		w.evict(r.at.List)
		h.on(h.after, r.read, func() { r.revoke(); w.look(0) })
		w.hold(r.at.List)
	},
	"held, look begins, let go, read, held, revoked, look ends": func(w *world, h *hooked, r revocation) {
		w.hold(r.at.List)
		w.look(0)
		h.on(h.before, status.IndexRecent, func() {
			w.evict(r.at.List)
			w.hold(r.at.List)
			r.revoke()
		})
		w.look(0)
	},
	"held, revoked, look begins, let go, read, held, look ends": func(w *world, h *hooked, r revocation) {
		w.hold(r.at.List)
		r.revoke()
		h.on(h.before, status.IndexRecent, func() { w.evict(r.at.List); w.hold(r.at.List) })
		w.look(0)
	},
	"read, revoked, look that fails, held": func(w *world, h *hooked, r revocation) {
		h.on(h.after, r.read, func() {
			r.revoke()
			ctx, cancel := context.WithCancel(w.ctx)
			cancel()
			w.looking.Lock()
			defer w.looking.Unlock()
			if w.update(ctx) == nil {
				w.t.Error("the look did not fail")
			}
		})
		w.hold(r.at.List)
	},
	"read, revoked, two looks, held": func(w *world, h *hooked, r revocation) {
		h.on(h.after, r.read, func() { r.revoke(); w.look(0); w.look(0) })
		w.hold(r.at.List)
	},
}

// In whatever order a list is read, a revocation committed and the store looked
// at, the next look publishes the bit, and does not call the list fresh without.
func TestL11_NoOrderHidesARevocation(t *testing.T) {
	for what, revocation := range revocations {
		for order, run := range orders {
			for by, another := range map[string]bool{"": false, ", by another process": true} {
				t.Run(what+by+": "+order, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					other, err := w.places.Next(t.Context(), w.clock.Now(), w.clock.Now().Add(40*time.Hour))
					must(t, err)
					r := revocation(w)
					if other.List == r.at.List {
						t.Fatal("one list for tokens of any life")
					}
					if another {
						w.writer = w.open()
						defer w.writer.Close()
					}
					w.latest(other.List)
					w.clock.pass(20 * time.Second)
					w.look(0)
					run(w, w.hooks, r)
					if !w.latest(r.at.List).has(t, r.at.Index) {
						t.Errorf("a look later the bit is not set")
					}
				})
			}
		}
	}
}

// A list that has to be read as a whole is not told what a look finds for the
// others. It learns of it even if that reading fails and the store's clock, set
// back, makes it one of those that go by what is recent.
func TestL11_AListThatCouldNotBeReadAgain(t *testing.T) {
	w := newWorld(t)
	other, err := w.places.Next(t.Context(), w.clock.Now(), w.clock.Now().Add(40*time.Hour))
	must(t, err)
	r := revocations["the end of a client"](w)
	w.latest(other.List)
	w.latest(r.at.List)
	w.look(0)
	w.clock.pass(readAgain + 10*time.Second)
	w.hooks.lose(status.ListKey(r.at.List))
	w.look(0)
	r.revoke()
	w.look(0)
	w.clock.pass(-20 * time.Second)
	if !w.latest(r.at.List).has(t, r.at.Index) {
		t.Error("a look later the bit is not set")
	}
}
