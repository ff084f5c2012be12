package throttle

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"jeton/storage"
)

// What is in the store: the key; a head that says which of the other rows have
// changed since; 16 rows of counters and 256 of known pairs, each a part of the
// hashes. They hold fixed binary records, the counters at most 512 a row, so
// all of it stays below 216 kB of counters and 14 bytes for each known pair.
const (
	partition   storage.Partition = "t"
	rowKind                       = "throttle"
	rowFormat                     = 1
	countChunks                   = 16
	chunks                        = countChunks + knownChunks
	perChunk                      = 512
)

var (
	keyKey  = storage.Key{Kind: rowKind, ID: "key"}
	headKey = storage.Key{Kind: rowKind, ID: "head"}
)

// chunkKey names the row of a chunk: counters first, then known pairs.
func chunkKey(i int) storage.Key {
	if i < countChunks {
		return storage.Key{Kind: rowKind, ID: fmt.Sprintf("counts-%x", i)}
	}
	return storage.Key{Kind: rowKind, ID: fmt.Sprintf("known-%02x", i-countChunks)}
}

func countChunk(key uint64) int { return int(key >> 60) }

var errFormat = errors.New("it is of an unknown format, perhaps of a newer version")

// head is the one row that every change rewrites and checks.
type head struct {
	// nonce is of the write, so that one whose outcome is unknown is found again.
	nonce [16]byte
	seq   [chunks]uint32
}

func (h *head) encode() []byte {
	b := append([]byte{rowFormat}, h.nonce[:]...)
	for _, n := range h.seq {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func decodeHead(b []byte) (h head, err error) {
	if len(b) == 0 {
		return h, nil
	}
	if len(b) != 1+len(h.nonce)+4*chunks || b[0] != rowFormat {
		return h, errFormat
	}
	b = b[1+copy(h.nonce[:], b[1:]):]
	for i := range h.seq {
		h.seq[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return h, nil
}

// record is a counter in the store, in the store's Unix milliseconds.
type record struct {
	key         uint64
	kind        kind
	empty, last int64
}

const recordBytes = 8 + 1 + 8 + 8

func encodeRecords(list []record) []byte {
	b := make([]byte, 1, 1+len(list)*recordBytes)
	b[0] = rowFormat
	for _, r := range list {
		b = binary.LittleEndian.AppendUint64(b, r.key)
		b = append(b, byte(r.kind))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.empty))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.last))
	}
	return b
}

func decodeRecords(b []byte) ([]record, error) {
	b, n, err := body(b, recordBytes)
	list := make([]record, 0, n)
	for ; len(b) > 0; b = b[recordBytes:] {
		r := record{
			key: binary.LittleEndian.Uint64(b), kind: kind(b[8]),
			empty: int64(binary.LittleEndian.Uint64(b[9:])), last: int64(binary.LittleEndian.Uint64(b[17:])),
		}
		if r.key != 0 && r.kind < rules {
			list = append(list, r)
		}
	}
	return list, err
}

const knownBytes = 8 + 4 + 2

func encodeKnown(cells []knownPair) []byte {
	b := []byte{rowFormat}
	for _, p := range cells {
		b = binary.LittleEndian.AppendUint64(b, p.owner)
		b = binary.LittleEndian.AppendUint32(b, p.place)
		b = binary.LittleEndian.AppendUint16(b, uint16(p.day)) // until the year 2149
	}
	return b
}

func decodeKnown(b []byte) ([]knownPair, error) {
	b, n, err := body(b, knownBytes)
	list := make([]knownPair, 0, n)
	for ; len(b) > 0; b = b[knownBytes:] {
		p := knownPair{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), uint32(binary.LittleEndian.Uint16(b[12:]))}
		if p.owner != 0 {
			list = append(list, p)
		}
	}
	return list, err
}

// body is a row without its format, as so many records of that size.
func body(b []byte, size int) ([]byte, int, error) {
	switch {
	case len(b) == 0:
		return nil, 0, nil
	case b[0] != rowFormat || (len(b)-1)%size != 0:
		return nil, 0, errFormat
	}
	return b[1:], (len(b) - 1) / size, nil
}

// bound keeps the records that say most, by how full they are.
func bound(list []record, fill func(record) int64) []record {
	if len(list) > perChunk {
		slices.SortFunc(list, func(a, b record) int {
			return cmp.Or(cmp.Compare(fill(b), fill(a)), cmp.Compare(b.last, a.last))
		})
		list = list[:perChunk]
	}
	return list
}
