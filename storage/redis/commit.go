package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"jeton/storage"
)

// The bounds of a command that is on its way. A fence outlives every command
// that it could meet.
const (
	lateAfter = time.Minute
	fenceTime = 10 * time.Minute
)

// Redis removes rows by itself so long after they have expired: those that stand
// in an index leave that to the sweeper unless it stays away for long.
const (
	grace        = time.Minute
	indexedGrace = 7 * storage.Day
)

// attempt is one commit on its way.
type attempt struct {
	group   group
	number  int // of the group
	change  *storage.Change
	version uint64
	rows    map[storage.Key]int // their places among keys, from 1
	keys    []string
}

func (s *Store) attempt(c *storage.Change) *attempt {
	n := s.groupOf(c.Partition)
	a := &attempt{group: s.groups[n], number: n, change: c, version: newVersion(), rows: make(map[storage.Key]int)}
	a.keys = []string{a.group.marker, a.group.fence(a.version), a.group.partition(c.Partition), a.group.queue()}
	for _, check := range c.Checks {
		a.row(check.Key)
	}
	for i := range c.Puts {
		a.row(c.Puts[i].Key)
	}
	for _, k := range c.Deletes {
		a.row(k)
	}
	return a
}

// newVersion is a number that no other commit has: what was forgotten by a
// failover must not come back under the name of something else, so counting
// would not do.
func newVersion() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return max(1, binary.BigEndian.Uint64(b[:])>>1)
}

// row is the place of a row among the rows of the script.
func (a *attempt) row(k storage.Key) int {
	n, ok := a.rows[k]
	if !ok {
		a.keys = append(a.keys, a.group.row(a.change.Partition, k))
		n = len(a.rows) + 1
		a.rows[k] = n
	}
	return n
}

// args is the change as commit.lua reads it.
func (s *Store) args(a *attempt) []any {
	c := a.change
	touch := 0
	if s.o.WaitReplicas > 0 {
		touch = 1 // a WAIT confirms what its own connection wrote
	}
	args := []any{s.given(), s.offset.later(lateAfter), versionBytes(a.version), a.group.indexes(), string(c.Partition), touch,
		grace.Milliseconds(), indexedGrace.Milliseconds(), len(c.Checks)}
	for _, check := range c.Checks {
		args = append(args, a.row(check.Key), versionBytes(check.Version))
	}
	args = append(args, len(c.Puts))
	for i := range c.Puts {
		p := &c.Puts[i]
		args = append(args, a.row(p.Key), name(p.Key), micros(p.Expires))
		if p.Index == nil {
			args = append(args, "keep")
		} else {
			entries := unique(p.Index)
			args = append(args, len(entries))
			for _, e := range entries {
				args = append(args, e.Name, e.Sort)
			}
		}
		args = append(args, p.Value)
	}
	args = append(args, len(c.Deletes))
	for _, k := range c.Deletes {
		args = append(args, a.row(k), name(k))
	}
	return args
}

// unique sorts entries, so that the same ones are the same bytes.
func unique(entries []storage.Entry) []storage.Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b storage.Entry) int {
		if a.Name != b.Name {
			return compare(a.Name, b.Name)
		}
		return compare(a.Sort, b.Sort)
	})
	return slices.Compact(sorted)
}

// Commit implements [storage.Backend].
func (s *Store) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if err := c.Valid(); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	// From here on nobody's impatience decides what is written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Wait)
	defer cancel()
	a := s.attempt(&c)
	for {
		version, err := s.try(ctx, a)
		if !errors.Is(err, errLate) || ctx.Err() != nil {
			return version, err
		}
	}
}

// try sends the change once.
func (s *Store) try(ctx context.Context, a *attempt) (uint64, error) {
	r, err := s.run(ctx, call{script: commitScript, keys: a.keys, args: s.args(a),
		replicas: s.o.WaitReplicas, within: s.o.WaitTime, once: true})
	switch {
	case err != nil && (answered(err) || unsent(err)):
		return 0, unavailable(err)
	case err != nil:
		return s.settle(ctx, a, err)
	}
	switch text(r.value, 0) {
	case "ok":
		s.offset.set(number(r.value, 2))
		s.changes.wrote(a.number, number(r.value, 1))
		if r.replicas < int64(s.o.WaitReplicas) {
			return a.version, fmt.Errorf("%w: %d of %d replicas had it within %v", storage.ErrUnconfirmed, r.replicas, s.o.WaitReplicas, s.o.WaitTime)
		}
		if len(a.change.Puts)+len(a.change.Deletes) == 0 {
			return 0, nil
		}
		return a.version, nil
	case "conflict":
		return 0, fmt.Errorf("%w: %q", storage.ErrConflict, a.keys[3+number(r.value, 1)])
	case "late":
		s.offset.set(number(r.value, 1))
		return 0, errLate
	}
	return 0, s.strange(r.value)
}

// errLate: the command took too long on its way, or the clock of Redis was set.
var errLate = fmt.Errorf("%w: the clock of Redis is not where it was", storage.ErrUnavailable)

// settleTime bounds how long a commit waits, beyond its own time, to learn what
// became of it.
const settleTime = 3 * time.Second

// settle finds out what became of a commit whose reply was lost, and keeps one
// that has not happened from happening later.
func (s *Store) settle(ctx context.Context, a *attempt, cause error) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	keys := []string{a.group.marker, a.group.fence(a.version)}
	for i := range a.change.Puts {
		keys = append(keys, a.group.row(a.change.Partition, a.change.Puts[i].Key))
	}
	r, err := s.run(ctx, call{script: settleScript, keys: keys,
		args:     []any{versionBytes(a.version), fenceTime.Milliseconds()},
		replicas: s.o.WaitReplicas, within: s.o.WaitTime})
	switch {
	case err != nil:
		return 0, unknown(fmt.Errorf("%w; and then %w", cause, err))
	case text(r.value, 0) == "written":
		s.changes.signal()
		return a.version, s.confirm(ctx, a.change.Partition)
	case text(r.value, 0) == "fenced" && a.untouched(r.value):
		return 0, unavailable(cause)
	case text(r.value, 0) == "fenced":
		return 0, unknown(cause)
	}
	return 0, s.strange(r.value)
}

// confirm waits until the replicas have all that was written to a partition. A
// WAIT counts only what its own connection has written, so it writes a little.
func (s *Store) confirm(ctx context.Context, p storage.Partition) error {
	if s.o.WaitReplicas == 0 {
		return nil
	}
	if _, err := s.try(ctx, s.attempt(&storage.Change{Partition: p})); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrUnconfirmed, err)
	}
	return nil
}

// untouched reports whether some row that the change would have written still
// has the version that was checked: then it was not written over since.
func (a *attempt) untouched(versions []any) bool {
	for i := range a.change.Puts {
		for _, check := range a.change.Checks {
			was := ""
			if check.Version != 0 {
				was = versionBytes(check.Version)
			}
			if check.Key == a.change.Puts[i].Key && was != "" && text(versions, 1+i) == was {
				return true
			}
		}
	}
	return false
}
