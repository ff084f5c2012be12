package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"net/netip"
	"sync"

	"jeton/storage"
)

// hashes turns names and addresses into what is kept of them.
type hashes struct{ pool sync.Pool }

type hasher struct {
	mac hash.Hash
	in  []byte
	out []byte
}

func newHashes(key []byte) *hashes {
	return &hashes{sync.Pool{New: func() any {
		return &hasher{mac: hmac.New(sha256.New, key), in: make([]byte, 0, 256)}
	}}}
}

// digest is the four words of an HMAC. They are of no use for each other, so
// each has a use of its own: the counter of the thing itself, its part in pairs
// (combined by xor, which is enough for what nobody can see or choose), and its
// part in the table of known pairs.
type digest [4]uint64

func (d digest) self() uint64         { return d[0] }
func (d digest) pair(s digest) uint64 { return d[1] ^ s[1] }
func (d digest) owner() uint64        { return d[2] }
func (d digest) place() uint32        { return uint32(d[3]) }

// What a digest is of. The byte keeps a user apart from a client of that name.
const (
	aUser    = 'u'
	aClient  = 'c'
	aBackend = 'b'
	aSource  = 's'
	aNetwork = 'n'

	aRegistration = 'r'
	aSubject      = 'i' // who is signed in
	anAsker       = 'a'

	askersNetwork = 'A'

	aForgotten        = 'f' // the name that somebody typed who has forgotten the password
	aForgetter        = 'g'
	forgettersNetwork = 'G'
)

func (h *hashes) name(of byte, name string) digest {
	w := h.pool.Get().(*hasher)
	defer h.pool.Put(w)
	w.in = append(append(w.in[:0], of), name...)
	d := w.sum()
	if cap(w.in) > 1024 {
		w.in = make([]byte, 0, 256) // keep no room for a name that can't be one
	}
	return d
}

func (h *hashes) addr(of byte, a netip.Addr, bits int) digest {
	p, _ := a.Prefix(bits)
	b := p.Addr().As16() // of the zero Addr all zeros: one source for what has none
	w := h.pool.Get().(*hasher)
	defer h.pool.Put(w)
	w.in = append(append(w.in[:0], of), b[:]...)
	return w.sum()
}

// secret is the mark of a secret that is tried for a pair, never 0.
func (h *hashes) secret(owner uint64, place uint32, secret string) uint64 {
	w := h.pool.Get().(*hasher)
	defer h.pool.Put(w)
	w.in = binary.LittleEndian.AppendUint64(w.in[:0], owner)
	w.in = append(binary.LittleEndian.AppendUint32(w.in, place), secret...)
	d := w.sum()
	clear(w.in)
	if cap(w.in) > 1024 {
		w.in = make([]byte, 0, 256)
	}
	return d.self()
}

func (w *hasher) sum() (d digest) {
	w.mac.Reset()
	w.mac.Write(w.in)
	w.out = w.mac.Sum(w.out[:0])
	for i := range d {
		d[i] = max(1, binary.LittleEndian.Uint64(w.out[8*i:])) // 0 marks a free place
	}
	return d
}

// plainName is what one login name is, however it was typed. What cannot be a
// name stands for itself, and is counted as if it could.
func plainName(name string) string {
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == '@' {
			continue // most names are already in the form that takes a microsecond to find
		}
		if normal, err := storage.NormalName(name); err == nil {
			return normal
		}
		break
	}
	return name
}

var errKey = errors.New("it has the wrong size, the row was damaged: restore a backup of the store")

// storedKey reads the key of this store, or makes it.
func storedKey(ctx context.Context, s *storage.Store) ([]byte, error) {
	for range 3 {
		snap, err := s.Read(ctx, partition, keyKey)
		switch row := snap.Rows; {
		case err != nil:
			return nil, err
		case row[0].Version == 0:
		case len(row[0].Value) != sha256.Size:
			return nil, errKey
		default:
			return row[0].Value, nil
		}
		key := make([]byte, sha256.Size)
		rand.Read(key)
		_, err = s.Commit(ctx, storage.Change{
			Partition: partition, Checks: []storage.Check{{Key: keyKey}},
			Puts: []storage.Put{{Key: keyKey, Value: key}},
		})
		switch {
		case err == nil:
			return key, nil
		case !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUnknown):
			return nil, err
		}
	}
	return nil, errors.New("other processes keep changing it: try again")
}
