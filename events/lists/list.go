package lists

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// list is one status list in memory.
type list struct {
	number uint32
	uri    string
	asked  time.Time // when somebody last did; under the publisher's lock
	// told says that the bits of all clients in Publisher.ends are in. Only a
	// look touches it.
	told bool

	mu   sync.Mutex
	bits []byte
	ends time.Time // store time from which its row is gone
	// retired is set when it is.
	retired bool
	// version counts the changes of bits.
	version uint64
	// confirmed is the store's time of the last look that saw all that was
	// committed before it, seen this machine's, and whole the store's time of
	// the last look at all rows of the list.
	confirmed, seen, whole time.Time

	changed chan struct{} // closed at the next change of bits
	parked  map[*Seat]struct{}
	dropped bool // nobody follows it any more
	edition *Edition
}

// reading is a list as the store has it.
type reading struct {
	bits      []byte
	ends      time.Time
	confirmed time.Time
	begun     time.Time
}

// read reads a whole list. Its errors are ErrUnknown and the store's.
func (p *Publisher) read(ctx context.Context, number uint32) (reading, error) {
	r := reading{begun: time.Now()}
	partition, key := status.ListKey(number)
	snap, err := p.cfg.Store.Read(ctx, partition, key)
	if err != nil {
		return r, err
	}
	rec, err := storage.Decode[storage.StatusList](snap.Rows[0])
	if err != nil {
		return r, err
	}
	system, err := p.cfg.Store.System(ctx)
	restored := system.Value.Restored
	switch {
	case err != nil:
		return r, err
	case !rec.Exists() && !restored.Lost(number, snap.Now):
		return r, ErrUnknown
	case restored.Over(number):
		return allRevoked(r, rec, restored, snap.Now), nil
	}
	r.bits = make([]byte, status.Size(rec.Value)/8)
	r.ends, r.confirmed = rec.Value.Ends.Add(status.Grace), snap.Now
	err = p.cfg.Store.AllByIndex(ctx, storage.Query{Index: storage.IndexRevoked(number), Limit: 1000}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.RevokedIndex](row)
		if err == nil {
			set(r.bits, rec.Value.Index)
		}
		return err
	})
	if err != nil {
		return r, err
	}
	clients := make(map[storage.Partition]owner)
	q := storage.Query{Index: status.IndexBlocks, Prefix: fmt.Sprintf("%010d.", number), Limit: 1000}
	err = p.cfg.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		client, ok := clients[row.Partition]
		if !ok {
			if client, err = p.client(ctx, row.Partition); err != nil {
				return err
			}
			clients[row.Partition] = client
		}
		rec, err := storage.Decode[storage.StatusBlock](row)
		if err != nil {
			return err
		}
		over, err := p.ended(ctx, row.Partition, client, rec.Value)
		if over {
			setBlock(r.bits, rec.Value.Block)
		}
		return err
	})
	return r, err
}

// allRevoked is a list of which a restored store does not know which of its
// tokens lived, or not even that it was there.
func allRevoked(r reading, rec storage.Record[storage.StatusList], restored *storage.Restored, now time.Time) reading {
	places := uint32(status.Places)
	r.ends, r.confirmed = restored.Until.Add(status.Grace), now
	if rec.Exists() {
		places, r.ends = status.Size(rec.Value), rec.Value.Ends.Add(status.Grace)
	}
	r.bits = bytes.Repeat([]byte{0xff}, int(places/8))
	return r
}

// owner is the client that blocks were leased to, and the epoch they must be of.
type owner struct {
	client storage.Record[storage.Client]
	epoch  uint64
	// damaged is a client that cannot be read. Whether its tokens are revoked
	// together is then not known, and as no bit can be taken back none is set; what
	// else is revoked is published, of all clients.
	damaged bool
}

// client reads the client whose partition it is.
func (p *Publisher) client(ctx context.Context, partition storage.Partition) (owner, error) {
	id, ok := strings.CutPrefix(string(partition), string(storage.ClientPartition("")))
	if !ok {
		return owner{}, errors.New("lists: a block of status bits belongs to no client: restore the store from a backup")
	}
	rec, _, err := p.cfg.Store.Client(ctx, id)
	row := storage.Row{Partition: partition, Key: storage.ClientKey(id), Version: rec.Version}
	if p.cfg.Store.Skip(ctx, row, err) {
		return owner{damaged: true}, nil
	}
	if err != nil {
		return owner{}, err
	}
	system, err := p.cfg.Store.System(ctx)
	return owner{client: rec, epoch: status.Epoch(rec.Value, system.Value)}, err
}

// ended reports whether the tokens from a block are revoked together. A block of
// a greater epoch than was read was leased since, or to an earlier client of
// that id: a bit cannot be taken back, so it is looked at again.
func (p *Publisher) ended(ctx context.Context, partition storage.Partition, o owner, b storage.StatusBlock) (bool, error) {
	if b.Epoch > o.epoch && !o.damaged {
		var err error
		if o, err = p.client(ctx, partition); err != nil {
			return false, err
		}
	}
	if o.damaged {
		return false, nil
	}
	return !o.client.Exists() || o.client.Value.Disabled || b.Epoch != o.epoch, nil
}

// set sets the bit of a place, the least significant bit of a byte first, and
// reports whether that changed anything.
func set(bits []byte, index uint32) bool {
	if index/8 >= uint32(len(bits)) {
		return false // of no list of this size: no token has it
	}
	before := bits[index/8]
	bits[index/8] |= 1 << (index % 8)
	return bits[index/8] != before
}

func setBlock(bits []byte, block uint32) bool {
	changed := false
	for i := range uint32(status.BlockSize) {
		changed = set(bits, block*status.BlockSize+i) || changed
	}
	return changed
}

// merge adds what a whole reading saw.
func (l *list) merge(r reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bits == nil {
		l.bits = make([]byte, len(r.bits))
	}
	changed := false
	for i := range min(len(l.bits), len(r.bits)) {
		changed = changed || r.bits[i]&^l.bits[i] != 0
		l.bits[i] |= r.bits[i]
	}
	l.ends, l.whole = r.ends, r.confirmed
	l.confirm(r.confirmed, r.begun, changed)
}

// add sets the bits that a look at recent revocations has found.
func (l *list) add(f *found, begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := false
	for _, index := range f.places[l.number] {
		changed = set(l.bits, index) || changed
	}
	for _, block := range f.blocks[l.number] {
		changed = setBlock(l.bits, block) || changed
	}
	l.confirm(f.confirmed, begun, changed)
}

func (l *list) confirm(confirmed, begun time.Time, changed bool) {
	// The store's clock may be set back; a verifier refuses an older iat.
	if confirmed.After(l.confirmed) {
		l.confirmed = confirmed
	}
	if begun.After(l.seen) {
		l.seen = begun
	}
	if changed {
		l.version++
		l.wake()
	}
}

func (l *list) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
	l.wakeParked()
}
