package webhooks

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"jeton/events"
	"jeton/keys"
	"jeton/outbound"
	"jeton/storage"
)

// How a dispatcher works.
const (
	lookEvery = 2 * time.Second // without a sign of change
	gather    = 50 * time.Millisecond
	batch     = 16 // events of one webhook under way at once
)

// Config is what a dispatcher needs to know of the world.
type Config struct {
	Queues
	Keys   *keys.Ring
	Issuer string
	// Allow are the private networks that may be called.
	Allow []netip.Prefix
	Log   *slog.Logger
	// RootCAs and Resolver are those of the system when nil.
	RootCAs  *x509.CertPool
	Resolver *net.Resolver
}

// Dispatcher delivers. All nodes run one; whoever has work to do takes a lease
// first. What is left to do is in the store alone, so that another node goes
// on when the holder dies.
type Dispatcher struct {
	Config
	lease     events.Lease
	receivers []*receiver
	// signing bounds the cores that sign: what piled up must not keep logins
	// waiting.
	signing chan struct{}

	trouble               bool // the store failed last time, and the log says so
	mostPending, mostDead int
}

// NewDispatcher returns a dispatcher for webhooks that [Webhook.Check] has
// passed.
func NewDispatcher(c Config) *Dispatcher {
	d := &Dispatcher{
		Config: c, lease: events.NewLease(c.Store, "webhooks"), signing: make(chan struct{}, max(1, runtime.NumCPU()/2)),
		mostPending: MostPending, mostDead: MostDead,
	}
	for _, w := range c.Hooks {
		// A client for each: a receiver that takes all of its connections takes
		// nobody else's.
		d.receivers = append(d.receivers, newReceiver(w, outbound.NewClient(outbound.Config{
			Allow: c.Allow, Plain: true, Timeout: callTimeout, MaxBytes: mostAnswer, Idle: batch, RootCAs: c.RootCAs, Resolver: c.Resolver,
		})))
	}
	return d
}

// Run delivers until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	if len(d.receivers) == 0 {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	c := &crew{done: make(chan ended, len(d.receivers)), busy: make(map[*receiver]bool)}
	c.all.Go(func() { d.tendAll(ctx) })
	defer func() {
		stop()
		c.all.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		d.lease.Release(ctx)
	}()
	for ctx.Err() == nil {
		changed := d.Store.Changed()
		wait, held, err := d.step(ctx, c)
		d.report(ctx, err)
		if !held || err != nil {
			changed = nil // whoever holds the lease is woken by it
		}
		select {
		case <-ctx.Done():
		case e := <-c.done:
			delete(c.busy, e.receiver)
			d.report(ctx, e.err)
		case <-time.After(wait):
		case <-changed:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		}
	}
}

// crew are the workers, one for each receiver that has something to be told.
// They end together when the lease is lost.
type crew struct {
	all  sync.WaitGroup
	busy map[*receiver]bool
	done chan ended

	ctx  context.Context // nil while the lease is not ours
	stop context.CancelFunc
}

// ended is a worker that has nothing more to do for now.
type ended struct {
	receiver *receiver
	err      error
}

// step begins what is to do. It says how long there is nothing else to do, and
// false when it is another node's work.
func (d *Dispatcher) step(ctx context.Context, c *crew) (wait time.Duration, held bool, err error) {
	ready, wait, err := d.ready(ctx, c)
	if err != nil || len(ready)+len(c.busy) == 0 {
		return wait, true, err // a quiet server writes nothing
	}
	held, err = d.lease.Hold(ctx)
	if err != nil || !held {
		if c.ctx != nil {
			c.stop()
			c.ctx = nil
		}
		return lookEvery, held, err
	}
	if c.ctx == nil {
		c.ctx, c.stop = context.WithCancel(ctx)
		for _, r := range d.receivers {
			if !c.busy[r] {
				r.forget() // what was known before another may have worked
			}
		}
	}
	work := c.ctx
	for _, r := range ready {
		c.busy[r] = true
		c.all.Go(func() { c.done <- ended{r, d.turn(work, r)} })
	}
	return wait, true, nil
}

// ready finds the receivers that something is due for, and when the next is.
func (d *Dispatcher) ready(ctx context.Context, c *crew) (ready []*receiver, wait time.Duration, err error) {
	wait = lookEvery
	for _, r := range d.receivers {
		if c.busy[r] {
			continue
		}
		page, err := d.Store.List(ctx, storage.Query{Index: storage.IndexPending(r.Name), Limit: batch})
		if err != nil {
			return nil, wait, err
		}
		if len(page.Rows) == 0 {
			continue
		}
		if in := r.dueIn(page); in <= 0 {
			ready = append(ready, r)
		} else {
			wait = min(wait, in)
		}
	}
	return ready, wait, nil
}

// tendAll keeps the queues within their bounds.
func (d *Dispatcher) tendAll(ctx context.Context) {
	for ctx.Err() == nil {
		for _, r := range d.receivers {
			if err := d.tend(ctx, r); err != nil && ctx.Err() == nil {
				d.Log.Debug("the queue of a webhook could not be counted", "webhook", r.Name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(tendEvery):
		}
	}
}

// report logs the first of a row of failures, and its end.
func (d *Dispatcher) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !d.trouble:
		d.trouble = true
		d.Log.Warn("webhooks are waiting: the store or the keys are in trouble, trying again until it works", "error", err)
	case err == nil && d.trouble:
		d.trouble = false
		d.Log.Info("webhooks are served again")
	}
}
