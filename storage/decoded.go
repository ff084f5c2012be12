package storage

import "sync"

// decoded remembers what rows decoded to, by id and version: together they are
// one write, so what it says never changes, and nothing ever has to be dropped
// because it is old. Decoding costs more than reading the row.
//
// What it returns is shared: its slices must not be changed in place.
type decoded[T any] struct {
	mu     sync.Mutex
	values map[writeKey]T
	order  []writeKey
	next   int
}

// writeKey names one write of a row. The rows of one commit share its version.
type writeKey struct {
	id      string
	version uint64
}

func newDecoded[T any](most int) *decoded[T] {
	return &decoded[T]{values: make(map[writeKey]T), order: make([]writeKey, most)}
}

func (d *decoded[T]) get(k writeKey) (T, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.values[k]
	return v, ok
}

// put remembers a value, and forgets the one that came first.
func (d *decoded[T]) put(k writeKey, v T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.values[k]; ok || k.version == 0 {
		return
	}
	delete(d.values, d.order[d.next])
	d.values[k], d.order[d.next] = v, k
	d.next = (d.next + 1) % len(d.order)
}

// decode is [Decode], remembered.
func (d *decoded[T]) decode(row Row) (Record[T], error) {
	k := writeKey{row.ID, row.Version}
	if v, ok := d.get(k); ok {
		return Record[T]{v, row.Version}, nil
	}
	rec, err := Decode[T](row)
	if err == nil {
		d.put(k, rec.Value)
	}
	return rec, err
}
