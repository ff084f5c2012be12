// Package measure notes how long the parts of the work take: for one request,
// which carries its [Request] in the context, and for the whole process, in a
// [Histogram] that belongs to the part.
//
// It stands below everything that is measured, costs some hundred nanoseconds
// a part, and allocates nothing. What becomes of the figures, a line of the
// log, a metric or a trace, is decided in package server.
package measure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Stage is a part of the work that is worth a figure of its own.
type Stage uint8

// The stages. What a request waits for is told from what it uses.
const (
	StoreRead Stage = iota
	StoreList
	StoreCommit
	KDFWait // for a turn to hash a password
	KDF     // hashing it
	Sign    // a token
	Stages  // how many there are
)

var stageNames = [Stages]string{"store.read", "store.list", "store.commit", "kdf.wait", "kdf", "sign"}

func (s Stage) String() string { return stageNames[s] }

// Request is what one request has spent so far. It may be added to by several
// goroutines at once, as the lines of an import are.
type Request struct {
	took  [Stages]atomic.Int64
	calls [Stages]atomic.Int32

	// Traced says that each part is kept, for a trace. It is set before the
	// request begins.
	Traced bool
	mu     sync.Mutex
	parts  []Part
}

// Part is one stretch of a stage.
type Part struct {
	Stage Stage
	Begun time.Time
	Took  time.Duration
}

// mostParts bounds what one request keeps: an import of ten thousand lines has
// as many commits.
const mostParts = 64

// Took is how long a stage has taken in all, and how often it was entered.
func (r *Request) Took(s Stage) (time.Duration, int) {
	return time.Duration(r.took[s].Load()), int(r.calls[s].Load())
}

// Parts are the first stretches that were noted, in the order of their ends.
func (r *Request) Parts() []Part {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parts
}

func (r *Request) add(p Part) {
	r.took[p.Stage].Add(int64(p.Took))
	r.calls[p.Stage].Add(1)
	if !r.Traced {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.parts) < mostParts {
		r.parts = append(r.parts, p)
	}
}

// Key is what a context has its *Request under. It is for contexts that answer
// several keys at once; others use [With].
type Key struct{}

// With returns a context whose work is noted in r.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, Key{}, r)
}

// Timer is a stage under way.
type Timer struct {
	request *Request
	all     *Histogram
	stage   Stage
	begun   time.Time
}

// Begin begins a stage of the request of ctx, if it is of one; all is where the
// process counts it.
func Begin(ctx context.Context, stage Stage, all *Histogram) Timer {
	r, _ := ctx.Value(Key{}).(*Request)
	return Timer{r, all, stage, time.Now()}
}

// End ends it.
func (t Timer) End() {
	took := time.Since(t.begun)
	t.all.Observe(took)
	if t.request != nil {
		t.request.add(Part{t.stage, t.begun, took})
	}
}
