// Package status gives every access token its place in a status list (IETF
// Token Status List): the record from which lists are published, so that an
// API learns of a revocation without asking.
//
// A token id carries its place ([NewTokenID], [PlaceOf]). An [Allocator] hands
// places out, never the same one twice, whatever the processes, restarts and
// crashes. A revoked place is a row ([RevokedPut]) in the commit that ends the
// token; the end of a client revokes the blocks leased to it, because their
// rows ([BlockKey]) carry the epoch that has passed.
//
// It leaves to package grants when a place is taken and when it is revoked, and
// to package lists what is published.
package status

import (
	cryptorand "crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"jeton/storage"
)

// BlockSize is the number of places that one bit of
// [storage.StatusList.Leased] stands for. It is small enough that ten thousand
// clients with a block each fit three lists, and large enough that a client's
// block rows stay far fewer than its tokens. It can never change, since
// [BlockKey] must find the rows of tokens that live.
const BlockSize = 256

// Grace is how long rows outlive the tokens they are about, for API clocks
// that run behind.
const Grace = 5 * time.Minute

// Place is where the bit of one access token is.
type Place struct{ List, Index uint32 }

const (
	idRandom = 16
	idSize   = idRandom + 4 + 4
)

// NewTokenID makes the `jti` of the token at a place: 128 random bits, so that
// a copied or restored store cannot give two tokens one id, and the place, so
// that whoever knows the id can revoke the token without a record of it.
func NewTokenID(p Place) string {
	var b [idSize]byte
	cryptorand.Read(b[:idRandom])
	binary.BigEndian.PutUint32(b[idRandom:], p.List)
	binary.BigEndian.PutUint32(b[idRandom+4:], p.Index)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// PlaceOf reads the place from a `jti`. It is false for what [NewTokenID]
// cannot have made.
func PlaceOf(jti string) (Place, bool) {
	if len(jti) != base64.RawURLEncoding.EncodedLen(idSize) {
		return Place{}, false
	}
	// The length is checked again because the decoder skips line breaks.
	b, err := base64.RawURLEncoding.DecodeString(jti)
	if err != nil || len(b) != idSize {
		return Place{}, false
	}
	return Place{
		List:  binary.BigEndian.Uint32(b[idRandom:]),
		Index: binary.BigEndian.Uint32(b[idRandom+4:]),
	}, true
}

// Epoch is the epoch of the blocks of a client, see [storage.StatusBlock]. A block
// of another one is over, unless it is greater because it was leased after the
// records at hand were read.
func Epoch(client storage.Client, system storage.System) uint64 {
	return client.Epoch + client.AccessEpoch + system.Epoch
}

// BlockKey names the [storage.StatusBlock] of a place that was leased to a
// client, in the partition of that client.
func BlockKey(p Place) storage.Key {
	return block{list: p.List, number: p.Index / BlockSize}.key()
}

// RevokedPut is the row that says that the bit of a token is set, for the
// commit that ends the token. It is false for an id without a place.
func RevokedPut(jti string, now, exp time.Time) (storage.Put, bool) {
	p, ok := PlaceOf(jti)
	if !ok {
		return storage.Put{}, false
	}
	row := storage.RevokedIndex{TokenID: jti, List: p.List, Index: p.Index, Revoked: now, Expires: exp}
	return storage.Put{
		Key:     RevokedKey(jti),
		Value:   storage.Encode(row),
		Expires: exp.Add(Grace),
		Index: []storage.Entry{
			{Name: storage.IndexRevoked(p.List), Sort: fmt.Sprintf("%010d", p.Index)},
			{Name: IndexRecent, Sort: Recent(now)},
		},
	}, true
}

// RevokedKey names the row that [RevokedPut] writes.
func RevokedKey(jti string) storage.Key { return storage.Key{Kind: storage.KindRevoked, ID: jti} }

// block is a block of places of a list, for tokens that expire by ends.
type block struct {
	list, number uint32
	ends         time.Time
}

func (b block) key() storage.Key {
	return storage.Key{Kind: storage.KindBlock, ID: fmt.Sprintf("%d.%d", b.list, b.number)}
}

// places are the places of blocks of one list, in random order.
func places(blocks []block) batch[Place] {
	all := batch[Place]{items: make([]Place, 0, len(blocks)*BlockSize), ends: blocks[0].ends}
	for _, b := range blocks {
		for i := range uint32(BlockSize) {
			all.items = append(all.items, Place{List: b.list, Index: b.number*BlockSize + i})
		}
	}
	rand.Shuffle(len(all.items), func(i, j int) {
		all.items[i], all.items[j] = all.items[j], all.items[i]
	})
	return all
}

// URI is where a list is published: what a token says of it.
func URI(issuer string, list uint32) string {
	return strings.TrimSuffix(issuer, "/") + "/status/" + strconv.FormatUint(uint64(list), 10)
}

// ListKey names the row of a list and the partition it lives in.
func ListKey(number uint32) (storage.Partition, storage.Key) {
	id := strconv.FormatUint(uint64(number), 10)
	return storage.ListPartition(id), storage.Key{Kind: storage.KindList, ID: id}
}

// Size is the number of places of a list.
func Size(l storage.StatusList) uint32 { return uint32(len(l.Leased)) * 8 * BlockSize }
