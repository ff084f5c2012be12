package throttle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"jeton/storage"
)

// exchange reads the chunks that have changed there or here, merges, and
// commits those in which we had a part.
func (t *Throttle) exchange(ctx context.Context, h *head, row storage.Row, b *batch) error {
	mine := b.byChunk()
	var work []int
	var keys []storage.Key
	for i := range chunks {
		if _, ok := mine[i]; ok || h.seq[i] != t.flusher.seen[i] {
			work, keys = append(work, i), append(keys, chunkKey(i))
		}
	}
	if len(work) == 0 {
		return nil
	}
	snap, err := t.cfg.Store.Read(ctx, partition, keys...)
	if err != nil {
		return err
	}
	change := storage.Change{Partition: partition, Checks: []storage.Check{{Key: headKey, Version: row.Version}}}
	for n, i := range work {
		list, ours := mine[i]
		value, err := t.merge(i, snap.Rows[n].Value, list)
		if err != nil {
			return fmt.Errorf("throttle: the row %q: %w", keys[n].ID, err)
		}
		if ours {
			h.seq[i]++
			change.Puts = append(change.Puts, storage.Put{Key: keys[n], Value: value, Expires: snap.Now.Add(t.keepFor(i))})
		}
	}
	if len(change.Puts) > 0 {
		h.nonce = b.nonce
		change.Puts = append(change.Puts, storage.Put{Key: headKey, Value: h.encode()})
		if _, err := t.cfg.Store.Commit(ctx, change); err != nil {
			return err
		}
	}
	t.flusher.seen = h.seq
	return nil
}

// byChunk says in which chunks the batch has a part; a chunk of known pairs has
// no list.
func (b *batch) byChunk() map[int][]*taken {
	m := make(map[int][]*taken)
	for i := range b.counts {
		chunk := countChunk(b.counts[i].key)
		m[chunk] = append(m[chunk], &b.counts[i])
	}
	for _, i := range b.known {
		m[countChunks+i] = nil
	}
	return m
}

// keepFor is how long a row that nobody writes again is worth keeping.
func (t *Throttle) keepFor(chunk int) time.Duration {
	if chunk >= countChunks {
		return t.cfg.KnownFor + storage.Day
	}
	var longest int64
	for i := range t.rules {
		longest = max(longest, t.rules[i].full())
	}
	return time.Duration(longest)*time.Millisecond + storage.Day
}

func (t *Throttle) merge(chunk int, value []byte, list []*taken) ([]byte, error) {
	if chunk >= countChunks {
		pairs, err := decodeKnown(value)
		if err != nil {
			return nil, err
		}
		return encodeKnown(t.mergeKnown(chunk-countChunks, pairs)), nil
	}
	records, err := decodeRecords(value)
	if err != nil {
		return nil, err
	}
	return encodeRecords(t.mergeCounts(records, list)), nil
}

// mergeKnown unites the pairs of both sides.
func (t *Throttle) mergeKnown(chunk int, pairs []knownPair) []knownPair {
	t.mu.Lock()
	defer t.mu.Unlock()
	today := t.today()
	for _, p := range pairs {
		p.day = min(p.day, today)
		t.known.put(p, today)
	}
	all := slices.Clone(t.known.chunk(chunk))
	return slices.DeleteFunc(all, func(p knownPair) bool { return !t.known.fresh(&p, today) })
}

// mergeCounts adds what was counted here to the records, and takes over what
// others have counted. The list is what the store has to hear of.
func (t *Throttle) mergeCounts(records []record, list []*taken) []record {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	place := make(map[uint64]int, len(records)+len(list))
	var news []*counter // what the store has not heard of all the same
	for i, r := range records {
		place[r.key] = i
		if c := t.adopt(r, now); c != nil && c.delta != 0 {
			news = append(news, c)
		}
	}
	for _, k := range list {
		c := t.counts.find(k.key)
		if c == nil {
			continue // it gave way to a fuller one
		}
		k.delta, k.reset = c.delta, c.state&reset
		c.delta, c.state = 0, c.state&^reset|stored
		r := record{key: c.key, kind: c.kind, empty: c.empty + t.offset, last: c.last + t.offset}
		if i, ok := place[c.key]; ok {
			records[i] = r
		} else {
			records = append(records, r)
		}
	}
	for _, c := range news {
		if c.delta != 0 {
			t.counts.touch(c)
		}
	}
	// One that is empty stays for a while: it tells others of a success.
	old := now + t.offset - time.Minute.Milliseconds()
	records = slices.DeleteFunc(records, func(r record) bool { return r.empty < old })
	return bound(records, func(r record) int64 {
		return t.counts.fill(&counter{kind: r.kind, empty: r.empty - t.offset}, now)
	})
}

// adopt makes a record's count ours, with what we have counted on top.
func (t *Throttle) adopt(r record, now int64) *counter {
	rule := &t.rules[r.kind]
	// A clock that was set back must not make a count of what it never was.
	empty, last := min(r.empty-t.offset, now+rule.credible()), min(r.last-t.offset, now)
	c := t.counts.find(r.key)
	if c == nil {
		if empty <= now {
			return nil
		}
		c = t.counts.claim(r.key, r.kind, now)
	}
	if c.kind != r.kind {
		return nil
	}
	c.state |= stored
	if c.state&reset != 0 {
		return nil // the store will hear that its count no longer holds
	}
	// Of what was counted here some may have leaked since.
	c.delta = min(c.delta, int16(rule.count(c, now)))
	if c.delta > 0 {
		empty = max(empty, now)
	}
	c.empty, c.last = empty+int64(c.delta)*rule.leak, max(c.last, last)
	return c
}
