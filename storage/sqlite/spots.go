package sqlite

import (
	"sync"

	"jeton/storage"
)

// mostSpots bounds the memory of [spots]: a few hundred bytes each.
const mostSpots = 8192

// spots remembers where in the file the rows are that were read last. Nearly
// all changes are to rows that were just read, and one statement then checks
// and writes what else takes one for each row, by the number of the row instead
// of its three-part name.
//
// What is remembered is never trusted: the statement looks whether the row with
// this number still has the version that it had when it was read there. A
// version belongs to one commit, and no other row had the number in that one.
type spots struct {
	mu    sync.Mutex
	known map[spotKey]spot
}

type spotKey struct {
	partition storage.Partition
	storage.Key
}

type spot struct {
	n       int64
	version uint64
	expires int64
}

func (s *spots) put(row *storage.Row, at spot) {
	if at.version == 0 {
		return
	}
	k := spotKey{row.Partition, row.Key}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[spotKey]spot)
	}
	if _, ok := s.known[k]; !ok && len(s.known) >= mostSpots {
		for other := range s.known { // any one: the order of a map is random
			delete(s.known, other)
			break
		}
	}
	s.known[k] = at
}

// of finds the spot where a check has to find its row, if it was read there.
func (s *spots) of(p storage.Partition, check storage.Check) (spot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.known[spotKey{p, check.Key}]
	return at, ok && at.version == check.Version
}

const (
	updateSpot   = `UPDATE rows SET version = ?, value = ? WHERE n = ? AND version = ? AND expires = ?`
	besidesOther = ` AND EXISTS (SELECT 1 FROM rows WHERE n = ? AND version = ? AND expires > ?)`
)

// inPlace applies the change that is by far the most frequent, a rotation: one
// row that neither moves in an index nor expires at another time, checked, and
// at most one other check. It says false of all others, and of one whose checks
// may not hold: those take the long way.
func (b *batch) inPlace(c *storage.Change) (done bool, err error) {
	if len(c.Puts) != 1 || len(c.Deletes) > 0 || c.Puts[0].Index != nil || len(c.Checks) == 0 || len(c.Checks) > 2 {
		return false, nil
	}
	put, own, other := &c.Puts[0], c.Checks[0], c.Checks[len(c.Checks)-1]
	if own.Key != put.Key {
		own, other = other, own
	}
	at, ok := b.spots.of(c.Partition, own)
	now := b.now.UnixNano()
	if own.Key != put.Key || !ok || at.expires != nanos(put.Expires) || at.expires <= now {
		return false, nil
	}
	query, args := updateSpot, []any{int64(b.sequence + 1), valueOf(put), at.n, int64(at.version), at.expires}
	if len(c.Checks) == 2 {
		beside, ok := b.spots.of(c.Partition, other)
		if !ok {
			return false, nil
		}
		query, args = updateSpot+besidesOther, append(args, beside.n, int64(beside.version), now)
	}
	if err := b.c.exec(query, args...); err != nil {
		return false, err
	}
	if b.c.changed() == 0 {
		return false, nil
	}
	b.wrote += pages(put)
	b.sequence++
	return true, nil
}

// pages is about how much a put adds to the log.
func pages(put *storage.Put) int { return 1 + len(put.Value)/4096 }

// valueOf is what is stored of a value: NULL would not say that a row is there.
func valueOf(put *storage.Put) []byte {
	if put.Value == nil {
		return []byte{}
	}
	return put.Value
}
