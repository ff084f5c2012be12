package sqlite

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"jeton/storage"
)

// batch is a transaction that several changes share. A change checks all its
// conditions before it writes anything, so one that is refused has left no
// trace, and needs no savepoint.
type batch struct {
	c        *conn
	spots    *spots
	now      time.Time
	sequence uint64
	wrote    int // pages, about
}

// begin reads the sequence within the transaction: another process may have
// moved it.
func (b *batch) begin() error {
	n, err := b.c.number("SELECT sequence FROM meta")
	b.sequence = uint64(n)
	return err
}

// end persists the sequence with what it has numbered, so that no version is
// ever given twice.
func (b *batch) end() error {
	if b.wrote == 0 {
		return nil
	}
	return b.c.exec("UPDATE meta SET sequence = ?, written = ?", int64(b.sequence), b.now.UnixNano())
}

// found is what a row was before a change. Its version is 0 when the row is
// absent; n is 0 only when nothing is stored under the key, not when it has
// expired.
type found struct {
	n       int64
	version uint64
	expires int64
	entries []byte
}

func (b *batch) find(p storage.Partition, k storage.Key) (f found, err error) {
	now := b.now.UnixNano()
	err = b.c.query(func(r *result) error {
		f.n, f.expires, f.entries = r.int(0), r.int(2), r.blob(3)
		if f.expires > now {
			f.version = uint64(r.int(1))
		}
		return nil
	}, `SELECT n, version, expires, entries FROM rows WHERE partition = ? AND kind = ? AND id = ?`,
		string(p), k.Kind, k.ID)
	return f, err
}

// change applies a change or refuses it with storage.ErrConflict. Any other
// error leaves the transaction fit only to be rolled back.
func (b *batch) change(c *storage.Change) (version uint64, err error) {
	if done, err := b.inPlace(c); done || err != nil {
		return b.sequence, err
	}
	seen := lookups{b, c.Partition, make(map[storage.Key]found, len(c.Checks)+len(c.Puts))}
	for _, check := range c.Checks {
		f, err := seen.find(check.Key)
		if err != nil {
			return 0, err
		}
		if f.version != check.Version {
			return 0, fmt.Errorf("%w: %s %q is at version %d, not at %d", storage.ErrConflict, check.Kind, check.ID, f.version, check.Version)
		}
	}
	if len(c.Puts)+len(c.Deletes) == 0 {
		return 0, nil
	}
	b.wrote += len(c.Deletes)
	b.sequence++
	for i := range c.Puts {
		if err := b.write(seen, &c.Puts[i]); err != nil {
			return 0, err
		}
	}
	for _, k := range c.Deletes {
		f, err := seen.find(k)
		if err == nil && f.n != 0 {
			err = b.remove(c.Partition, k, f)
		}
		if err != nil {
			return 0, err
		}
	}
	return b.sequence, nil
}

// lookups are the rows of a partition that a change has looked at.
type lookups struct {
	b    *batch
	p    storage.Partition
	rows map[storage.Key]found
}

func (l lookups) find(k storage.Key) (found, error) {
	if f, ok := l.rows[k]; ok {
		return f, nil
	}
	f, err := l.b.find(l.p, k)
	l.rows[k] = f
	return f, err
}

// write applies one put. A row with index entries that no check was about is
// most likely new, an event above all: then it is written without looking first.
func (b *batch) write(seen lookups, put *storage.Put) error {
	if _, ok := seen.rows[put.Key]; !ok && put.Index != nil {
		if done, err := b.insert(seen.p, put); done || err != nil {
			return err
		}
	}
	f, err := seen.find(put.Key)
	if err != nil {
		return err
	}
	return b.put(seen.p, put, f)
}

func (b *batch) put(p storage.Partition, put *storage.Put, f found) error {
	b.wrote += pages(put)
	value, expires, version := valueOf(put), nanos(put.Expires), int64(b.sequence)
	entries := f.entries
	switch {
	case put.Index != nil:
		entries = packEntries(put.Index)
	case f.version == 0:
		entries = nil // an expired row has none to keep
	}
	sameEntries := slices.Equal(entries, f.entries)
	if f.n != 0 && sameEntries && f.expires == expires {
		// The common case touches one page: no index has to follow.
		return b.c.exec(`UPDATE rows SET version = ?, value = ? WHERE n = ?`, version, value, f.n)
	}
	if !sameEntries {
		if err := b.unindex(p, put.Key, f.entries); err != nil {
			return err
		}
		if err := b.index(p, put.Key, entries); err != nil {
			return err
		}
	}
	if f.n != 0 {
		return b.c.exec(`UPDATE rows SET version = ?, expires = ?, entries = ?, value = ? WHERE n = ?`,
			version, expires, entries, value, f.n)
	}
	return b.c.exec(`INSERT INTO rows (partition, kind, id, version, expires, entries, value) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		string(p), put.Kind, put.ID, version, expires, entries, value)
}

// insert writes a row, and says false where there is one already.
func (b *batch) insert(p storage.Partition, put *storage.Put) (done bool, err error) {
	entries := packEntries(put.Index)
	err = b.c.exec(`INSERT OR IGNORE INTO rows (partition, kind, id, version, expires, entries, value) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		string(p), put.Kind, put.ID, int64(b.sequence), nanos(put.Expires), entries, valueOf(put))
	if err != nil || b.c.changed() == 0 {
		return false, err
	}
	b.wrote += pages(put)
	return true, b.index(p, put.Key, entries)
}

func (b *batch) remove(p storage.Partition, k storage.Key, f found) error {
	if err := b.unindex(p, k, f.entries); err != nil {
		return err
	}
	return b.c.exec(`DELETE FROM rows WHERE n = ?`, f.n)
}

func (b *batch) index(p storage.Partition, k storage.Key, packed []byte) error {
	return eachEntry(packed, func(e storage.Entry) error {
		return b.c.exec(`INSERT INTO entries (name, sort, partition, kind, id) VALUES (?, ?, ?, ?, ?)`,
			e.Name, e.Sort, string(p), k.Kind, k.ID)
	})
}

func (b *batch) unindex(p storage.Partition, k storage.Key, packed []byte) error {
	return eachEntry(packed, func(e storage.Entry) error {
		return b.c.exec(`DELETE FROM entries WHERE name = ? AND sort = ? AND partition = ? AND kind = ? AND id = ?`,
			e.Name, e.Sort, string(p), k.Kind, k.ID)
	})
}

// packEntries is the list of a row's index entries as the row carries it, so
// that they are found without an index from rows to entries: sorted, without
// duplicates, each string after its length. No entries are nil.
func packEntries(entries []storage.Entry) []byte {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b storage.Entry) int {
		if c := cmp.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return cmp.Compare(a.Sort, b.Sort)
	})
	var packed []byte
	for _, e := range slices.Compact(sorted) {
		packed = appendString(appendString(packed, e.Name), e.Sort)
	}
	return packed
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// eachEntry walks what packEntries made.
func eachEntry(packed []byte, visit func(storage.Entry) error) error {
	for len(packed) > 0 {
		var e storage.Entry
		var err error
		if e.Name, packed, err = cutString(packed); err != nil {
			return err
		}
		if e.Sort, packed, err = cutString(packed); err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = errors.New("a stored list of index entries is damaged: restore a backup")

// cutString undoes appendString.
func cutString(b []byte) (s string, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return "", nil, errDamaged
	}
	return string(b[used : used+int(n)]), b[used+int(n):], nil
}
