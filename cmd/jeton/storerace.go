package main

import (
	"context"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"jeton/race"
	"jeton/storage/redis"
)

// raceFor is a race of [app.storeCheck].
type raceFor struct {
	on     bool
	length time.Duration
	seed   uint64
}

// The bounds of a race: its history is kept in memory.
const shortestRace, longestRace = time.Second, 10 * time.Minute

// racers is how many servers a race has, each with connections of its own.
const racers = 3

func (r raceFor) fault() error {
	switch {
	case !r.on && (r.seed != 0 || r.length != 0):
		return usagef("--for and --seed belong to --race")
	case r.on && r.length != 0 && (r.length < shortestRace || r.length > longestRace):
		return usagef("--for %v: a race takes from %v to %v", r.length, shortestRace, longestRace)
	}
	return nil
}

// race lets clients loose on the Redis, or the disk, of the store.
func (a *app) race(ctx context.Context, s *Settings, r raceFor) (err error) {
	c := race.Config{Seed: r.seed, For: r.length, Least: fewestOperations}
	if c.Seed == 0 {
		c.Seed = mathrand.Uint64()
	}
	if c.For == 0 {
		c.For = 20 * time.Second
	}
	at, err := s.raceTrack(ctx)
	if err != nil {
		return err
	}
	if !bool(s.JSON) {
		fmt.Fprintf(a.stderr, "%s has to answer as many requests as it can for %v: who else uses it is slower meanwhile\n", redis.Redact(s.Store.String()), c.For)
	}
	c.Stores = at.stores
	report, err := at.run(ctx, c)
	if err != nil {
		return fmt.Errorf("the race was not run to its end, which says nothing about the store: %w", err)
	}
	out := &output{w: a.stdout, json: bool(s.JSON)}
	if err := out.raced(redis.Redact(s.Store.String()), c.Seed, report); err != nil {
		return err
	}
	return raceVerdict(c.Seed, report)
}

// fewestOperations say something.
const fewestOperations = 30

// raceVerdict is what a race says about the store.
func raceVerdict(seed uint64, r race.Report) error {
	wrong := 0
	for _, f := range r.Faults {
		if !f.Undecided {
			wrong++
		}
	}
	switch {
	case wrong > 0:
		return fmt.Errorf("this store does not keep its promises: what was seen of %d users has no order (seed %d); trust it with nothing", wrong, seed)
	case len(r.Faults) > 0:
		return fmt.Errorf("what was seen of %d users has too many orders to try: race again", len(r.Faults))
	case r.Operations-r.Unanswered < fewestOperations:
		return fmt.Errorf("only %d operations were answered, which says nothing: race for longer, and see that the store is well", r.Operations-r.Unanswered)
	}
	return nil
}

// raced tells what came of a race.
func (o *output) raced(store string, seed uint64, r race.Report) error {
	faults := []string{}
	for _, f := range r.Faults {
		faults = append(faults, f.String())
	}
	if o.json {
		object, err := json.Marshal(map[string]any{
			"store": store, "seed": seed, "seconds": r.Took.Round(time.Millisecond).Seconds(), "servers": r.Servers, "callers": r.Callers,
			"users": r.Users, "sessions": r.Sessions, "operations": r.Operations, "unanswered": r.Unanswered, "faults": faults,
		})
		if err != nil {
			return err
		}
		return o.writeJSON(json.RawMessage(object))
	}
	for _, f := range faults {
		if _, err := fmt.Fprintln(o.w, f); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(o.w, "seed %d: %d operations (%d without an answer) on %d sessions of %d users, by %d callers at %d servers in %v\n",
		seed, r.Operations, r.Unanswered, r.Sessions, r.Users, r.Callers, r.Servers, r.Took.Round(100*time.Millisecond))
	if err == nil && raceVerdict(seed, r) == nil {
		_, err = fmt.Fprintf(o.w, "%s keeps its promises, as far as this has shown\n", store)
	}
	return err
}
