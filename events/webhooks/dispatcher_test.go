package webhooks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/events"
	"jeton/storage"
)

func TestOnlyWhatIsWantedIsQueued(t *testing.T) {
	q := Queues{Hooks: []Webhook{{Name: "all"}, {Name: "some", Events: []string{events.UserDeleted, events.SessionEnded}}}}
	for name, want := range map[string]int{events.SessionEnded: 2, events.SessionStarted: 1} {
		if n := len(q.Follow(events.New(name, time.Now()))); n != want {
			t.Errorf("%s is queued for %d webhooks, want %d", name, n, want)
		}
	}
}

// run runs dispatchers until the test ends.
func (w *world) run(all ...*Dispatcher) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{}, len(all))
	for _, d := range all {
		go func() { d.Run(ctx); done <- struct{}{} }()
	}
	return func() {
		cancel()
		for range all {
			<-done
		}
	}
}

// A receiver that hangs holds up nobody else.
func TestS15_ASlowReceiverDelaysNoOther(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	slow := w.receive(func(rw http.ResponseWriter, _ *http.Request) { <-release; rw.WriteHeader(202) })
	got := make(chan bool, 1000)
	quick := w.receive(func(rw http.ResponseWriter, _ *http.Request) { got <- true; rw.WriteHeader(202) })
	d := w.dispatcher([]Webhook{slow.hook("slow"), quick.hook("quick")}, slow.Certificate(), quick.Certificate())
	defer w.run(d)()
	defer close(release)
	for range 5 {
		w.emit(d, 20)
		for range 20 {
			<-got
		}
	}
}

// While a receiver takes nothing, it is asked seldom, the log says so once, and
// nothing is lost.
func TestAReceiverThatFailsIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	to := w.receive(status(500))
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	want := w.emit(d, 100)
	c := &crew{busy: map[*receiver]bool{}}
	for range 720 { // an hour, looked at each 5 s
		if ready, _, err := d.ready(t.Context(), c); err != nil {
			t.Fatal(err)
		} else if len(ready) > 0 {
			w.turn(d)
		}
		w.clock.advance(5 * time.Second)
	}
	if n := to.called(); n < batch || n > batch+40 {
		t.Errorf("it was called %d times in an hour", n)
	}
	w.want(d, 100, 0)
	if w.logged("takes no events") != 1 || strings.Count(w.log.String(), "\n") != 1 {
		t.Errorf("the log: %s", w.log)
	}
	all, err := d.List(t.Context())
	must(t, err)
	if all[0].Failing.IsZero() || !strings.Contains(all[0].Error, "status 500") {
		t.Errorf("%+v", all[0])
	}

	// Another node takes over, and the receiver comes back.
	d = w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	to.set(nil)
	to.ids = nil
	w.clock.advance(time.Hour)
	w.turn(d)
	slices.Sort(to.ids)
	if !slices.Equal(to.ids, want) {
		t.Errorf("%d of %d events arrived, or some twice", len(to.ids), len(want))
	}
	w.want(d, 0, 0)
	if w.logged("takes events again") != 1 || strings.Count(w.log.String(), "\n") != 2 {
		t.Errorf("the log: %s", w.log)
	}
}

// An event that a receiver stumbles over is no reason to keep others from it.
func TestPoisonHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	bad := ""
	to := w.receive(nil)
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	to.set(func(rw http.ResponseWriter, _ *http.Request) {
		if to.ids[len(to.ids)-1] == bad {
			rw.WriteHeader(500)
			return
		}
		rw.WriteHeader(202)
	})
	bad = w.emit(d, 1)[0]
	for range 20 {
		w.clock.advance(maxDelay + minDelay)
		w.turn(d)
		w.emit(d, 1)
		w.clock.advance(maxPause + time.Minute)
		w.turn(d)
		w.want(d, 1, 0)
	}
	w.clock.advance(givenUp)
	w.turn(d)
	w.want(d, 0, 1)
	must(t, d.tend(t.Context(), d.receivers[0]))
	if w.logged("could not be delivered") != 1 {
		t.Errorf("the log: %s", w.log)
	}
}

func TestDeadLettersAreSentAgainOrDropped(t *testing.T) {
	w := newWorld(t)
	to := w.receive(says(400, `{"err":"invalid_request"}`))
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	ids := w.emit(d, 3)
	w.turn(d)
	w.want(d, 0, 3)
	letters, next, err := d.Letters(t.Context(), "siem", "", 2)
	must(t, err)
	if len(letters) != 2 || next == "" || letters[0].Event.ID != ids[0] || letters[0].Error != "invalid_request" || letters[0].Attempts != 1 {
		t.Fatalf("%+v", letters)
	}
	for _, name := range []string{"other", "", "../x", "\x00"} {
		if _, _, err := d.Letters(t.Context(), name, "", 2); err != ErrNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := d.Retry(t.Context(), "siem", "nothing"); err != ErrNoLetter {
		t.Errorf("%v", err)
	}
	if n, err := d.Drop(t.Context(), "siem", ids[0]); n != 1 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
	to.set(nil)
	if n, err := d.Retry(t.Context(), "siem", ids[1]); n != 1 || err != nil {
		t.Errorf("%d retried, %v", n, err)
	}
	w.want(d, 1, 1)
	if n, err := d.Retry(t.Context(), "siem", ""); n != 1 || err != nil {
		t.Errorf("%d retried, %v", n, err)
	}
	to.ids = nil
	w.turn(d)
	slices.Sort(to.ids)
	if !slices.Equal(to.ids, ids[1:]) {
		t.Errorf("%q were sent again, want %q", to.ids, ids[1:])
	}
	w.want(d, 0, 0)
}

// What is kept for a receiver is bounded, and what is dropped is counted.
func TestS15_QueuesAreBounded(t *testing.T) {
	w := newWorld(t)
	to := w.receive(status(500))
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	d.mostPending, d.mostDead = 20, 5
	r := d.receivers[0]
	ids := w.emit(d, 21)
	must(t, d.tend(t.Context(), r))
	w.want(d, 20, 1)
	w.clock.advance(time.Minute)
	w.emit(d, 10)
	must(t, d.tend(t.Context(), r))
	w.want(d, 20, 5)
	letters, _, err := d.Letters(t.Context(), "siem", "", 10)
	must(t, err)
	if letters[0].Event.ID != ids[6] || !strings.Contains(letters[0].Error, "too many events waited") {
		t.Errorf("the oldest dead letter is %+v", letters[0])
	}
	all, err := d.List(t.Context())
	must(t, err)
	if f := d.Figures()[0]; all[0].Dropped != 6 || f.Dropped != 6 || f.Pending != 20 || f.Dead != 5 || f.Oldest.IsZero() {
		t.Errorf("%+v, %+v", all[0], f)
	}
	w.clock.advance(mostWaiting)
	must(t, d.tend(t.Context(), r))
	w.want(d, 0, 5)
	w.clock.advance(KeptDead)
	must(t, d.tend(t.Context(), r))
	w.want(d, 0, 0)
	if all, _ = d.List(t.Context()); all[0].Dropped != 31 {
		t.Errorf("%d of 31 are counted as dropped", all[0].Dropped)
	}
}

// A webhook that left the configuration is shown while anything is left of it.
func TestAWebhookThatIsGone(t *testing.T) {
	w := newWorld(t)
	to := w.receive(status(400))
	d := w.dispatcher([]Webhook{to.hook("old")}, to.Certificate())
	w.emit(d, 1)
	w.turn(d)
	q := Queues{Store: w.store}
	all, err := q.List(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].Webhook.Name != "old" || all[0].Configured || all[0].Dead != 1 {
		t.Fatalf("%+v", all)
	}
	if n, err := q.Drop(t.Context(), "old", ""); n != 1 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
	if all, err = q.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// One node delivers; when it ends, another does.
func TestOneNodeDelivers(t *testing.T) {
	w := newWorld(t)
	got := make(chan bool, 1000)
	to := w.receive(func(rw http.ResponseWriter, _ *http.Request) { got <- true; rw.WriteHeader(202) })
	hooks := []Webhook{to.hook("siem")}
	a, b := w.dispatcher(hooks, to.Certificate()), w.dispatcher(hooks, to.Certificate())
	b.Store = w.open(w.clock.now)
	stopA, stopB := w.run(a), w.run(b)
	want := w.emit(a, 200)
	for range want {
		<-got
	}
	stopA()
	want = append(want, w.emit(a, 50)...)
	for range 50 {
		<-got
	}
	stopB()
	to.mu.Lock()
	defer to.mu.Unlock()
	slices.Sort(to.ids)
	slices.Sort(want)
	if !slices.Equal(to.ids, want) {
		t.Errorf("%d calls for %d events", len(to.ids), len(want))
	}
	w.want(b, 0, 0)
}

// A dispatcher whose lease is lost leaves the work to the other, and changes no
// row that the other has changed.
func TestALostLeaseEndsTheWork(t *testing.T) {
	w := newWorld(t)
	d := w.dispatcher([]Webhook{{Name: "siem", URL: "https://siem.example"}})
	w.emit(d, 1)
	_, err := w.store.Commit(t.Context(), storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{{
		Key: storage.Key{Kind: storage.KindLease, ID: "webhooks"}, Value: []byte("another"), Expires: w.clock.now().Add(time.Minute)}}})
	must(t, err)
	work, cancel := context.WithCancel(t.Context())
	c := &crew{busy: map[*receiver]bool{}, ctx: work, stop: cancel}
	if _, held, err := d.step(t.Context(), c); held || err != nil || work.Err() == nil || len(c.busy) != 0 {
		t.Errorf("held %v, %v, %d at work", held, err, len(c.busy))
	}
}

// While the store does not write, a receiver is not told over and over.
func TestAStoreInTroubleIsNoFlood(t *testing.T) {
	w := newWorld(t)
	to := w.receive(nil)
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	w.emit(d, 1)
	sound := d.Store
	d.Store = storage.New(readOnly{sound.Backend})
	c := &crew{busy: map[*receiver]bool{}}
	for range 600 {
		if ready, _, err := d.ready(t.Context(), c); err != nil {
			t.Fatal(err)
		} else if len(ready) > 0 {
			if err := d.turn(t.Context(), d.receivers[0]); err == nil {
				t.Fatal("the trouble is kept secret")
			}
		}
		w.clock.advance(time.Second)
	}
	if n := to.called(); n < 2 || n > 12 {
		t.Errorf("it was told %d times in 10 minutes", n)
	}
	d.Store = sound
	w.clock.advance(maxPause * 2)
	w.turn(d)
	w.want(d, 0, 0)
}

type readOnly struct{ storage.Backend }

func (readOnly) Commit(context.Context, storage.Change) (uint64, error) {
	return 0, fmt.Errorf("test: %w", storage.ErrUnavailable)
}

// The publisher queues an event once for each webhook, whatever else befalls it.
func TestS21_PublishedOnce(t *testing.T) {
	w := newWorld(t)
	d := w.dispatcher([]Webhook{{Name: "siem", URL: "https://siem.example"}})
	e := events.New(events.SessionEnded, w.clock.now())
	_, err := w.store.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u"), Puts: []storage.Put{events.Put(e)}})
	must(t, err)
	p := events.NewPublisher(w.store, d.Log)
	told := make(chan struct{}, 10)
	p.Subscribe("audit", func(context.Context, storage.Event) error { told <- struct{}{}; return nil })
	p.Follow(d.Follow)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	<-told
	cancel()
	<-done
	w.want(d, 1, 0)
}

// What was not tried, or cut off, has not arrived.
func TestWorkThatIsCutOffIsNotDone(t *testing.T) {
	w := newWorld(t)
	to := w.receive(nil)
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	w.emit(d, 3)
	page, err := w.store.List(t.Context(), storage.Query{Index: storage.IndexPending("siem"), Limit: 10})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := d.deliver(ctx, d.receivers[0], page.Now, read(page))
	if err == nil || to.called() != 0 {
		t.Errorf("%d calls, %v", to.called(), err)
	}
	must(t, d.write(t.Context(), d.receivers[0], page.Now, read(page), results))
	w.want(d, 3, 0)
	w.turn(d)
	w.want(d, 0, 0)
}

// A row that a newer version wrote is left to it, and holds up no other.
func TestARowThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	to := w.receive(nil)
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	_, err := w.store.Commit(t.Context(), storage.Change{Partition: "u/x", Puts: []storage.Put{{
		Key: storage.Key{Kind: storage.KindDelivery, ID: "0/siem"}, Value: []byte("not JSON"),
		Index: []storage.Entry{{Name: storage.IndexPending("siem"), Sort: "0"}}}}})
	must(t, err)
	w.emit(d, 3)
	c := &crew{busy: map[*receiver]bool{}}
	if ready, _, err := d.ready(t.Context(), c); err != nil || len(ready) != 1 {
		t.Fatalf("%d are ready, %v", len(ready), err)
	}
	w.turn(d)
	w.want(d, 1, 0)
	if ready, wait, err := d.ready(t.Context(), c); err != nil || len(ready) != 0 || wait <= 0 {
		t.Errorf("%d are ready, wait %v, %v", len(ready), wait, err)
	}
}
