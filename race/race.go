// Package race lets clients loose on a store, through the protocol as servers
// speak it, and has package history look for an order of all that they saw. It is
// for an operator who wants to know whether a store keeps the promises before
// anybody trusts it, and makes no faults of its own.
//
// Which store, and that nobody else's records are in it, is its caller's.
package race

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"jeton/history"
	"jeton/storage"
)

// Config says who races, on what.
type Config struct {
	// Stores are one for each server: connections of their own to the same store,
	// in which is nothing else.
	Stores []storage.Backend
	// Seed repeats the choices of a run, though not at the same moments.
	Seed uint64
	For  time.Duration
	// Least is how many operations have to be answered to say something. Where
	// there are fewer after For it goes on until there are, for a minute at most.
	Least int
}

const (
	// callers ask at once, for as many people as there are at a time.
	callers, people = 12, 8
	// patience is for the history of one user.
	patience = 30 * time.Second
	// calm is how long is waited for what was begun when the time is over.
	calm = 20 * time.Second
	// longer is how long is gone on for [Config.Least].
	longer = time.Minute
)

// Report is what came of it.
type Report struct {
	Servers, Callers, Users, Sessions int
	Operations                        int
	// Unanswered are those of which nobody knows what became.
	Unanswered int
	Took       time.Duration
	Faults     []history.Fault
}

// race is one run.
type race struct {
	servers []*server
	history *history.History
	hash    string // of everybody's password
	made    atomic.Int64
	persons [people]atomic.Pointer[person]

	stop context.CancelCauseFunc
}

// Run plays, looks at what was seen, and removes all that it has written. An
// error is about the run; what is wrong with the store stands in the report.
func Run(ctx context.Context, c Config) (report Report, err error) {
	made := newTraces()
	r := &race{history: history.Begin()}
	defer func() {
		for _, s := range r.servers {
			s.close()
		}
		tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, made.remove(tidying, c.Stores[0]))
	}()
	if err := r.begin(ctx, c, made); err != nil {
		return report, err
	}
	began := time.Now()
	if err := r.play(ctx, c); err != nil {
		return report, err
	}
	ops := r.history.Operations()
	report = Report{
		Servers: len(r.servers), Callers: callers, Users: int(r.made.Load()), Operations: len(ops), Took: time.Since(began),
	}
	for _, op := range ops {
		if op.Kind == history.Login && op.OK {
			report.Sessions++
		}
		if !op.Known {
			report.Unanswered++
		}
	}
	report.Faults = history.Check(ops, patience)
	return report, nil
}

// begin makes servers, clients and the first people.
func (r *race) begin(ctx context.Context, c Config, made *traces) error {
	for _, backend := range c.Stores {
		s, err := newServer(ctx, made.around(backend), r.servers)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
	}
	var err error
	if r.hash, err = r.servers[0].passwords.Hash(ctx, "race", password); err != nil {
		return err
	}
	for id, window := range windows {
		if err := r.servers[0].addClient(ctx, id, window); err != nil {
			return err
		}
	}
	for i := range r.persons {
		who, err := r.newPerson(ctx)
		if err != nil {
			return err
		}
		r.persons[i].Store(who)
	}
	return nil
}

// play has the callers ask until the time is over, and there is enough.
func (r *race) play(ctx context.Context, c Config) error {
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	end := time.Now().Add(c.For)
	late := time.AfterFunc(c.For+calm, func() { r.stop(errors.New("the store takes too long to answer: see that it is well")) })
	defer late.Stop()
	var all sync.WaitGroup
	for i := range callers {
		one := &caller{race: r, ctx: ctx, choices: rand.New(rand.NewPCG(c.Seed, uint64(i)))}
		all.Go(func() {
			for ctx.Err() == nil && (time.Now().Before(end) || time.Now().Before(end.Add(longer)) && r.answered() < c.Least) {
				if err := one.turn(); err != nil {
					r.stop(err)
				}
				if time.Now().After(end) { // it answers
					late.Reset(calm)
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	last := &caller{race: r, ctx: ctx, choices: rand.New(rand.NewPCG(c.Seed, callers))}
	for i := range r.persons {
		if err := last.farewell(r.persons[i].Load()); err != nil {
			return err
		}
		late.Reset(calm)
	}
	return nil
}

// answered counts the operations of which is known what became.
func (r *race) answered() (n int) {
	for _, op := range r.history.Operations() {
		if op.Known {
			n++
		}
	}
	return n
}

func (r *race) newPerson(ctx context.Context) (*person, error) {
	who := &person{name: fmt.Sprintf("race-%d", r.made.Add(1))}
	return who, r.servers[0].addUser(ctx, who.name, r.hash)
}
