package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"jeton/storage"
)

// Spend writes down that a client has used a proof. It is the commit that
// decides which of two requests with one proof was first, on whichever node.
// Call it when all else is found right: before that a stranger could fill the
// store by it.
func (c *Checker) Spend(ctx context.Context, clientID string, p *Proof) error {
	system, err := c.Store.CachedSystem(ctx)
	if err != nil {
		return fmt.Errorf("dpop: asking the store whether it was restored: %w", err)
	}
	if r := system.Value.Restored; r != nil && !p.issued.After(r.At) {
		return bad("the proof may have been used before the store was restored")
	}
	sum := sha256.Sum256([]byte("dpop " + p.Thumbprint + " " + p.id))
	key := storage.Key{Kind: storage.KindUsedJTI, ID: base64.RawURLEncoding.EncodeToString(sum[:])}
	// Not Store.Commit, which forgets the cached client of the partition: the
	// client's record stays as it is.
	_, err = c.Store.Backend.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(clientID),
		Checks:    []storage.Check{{Key: key}},
		Puts:      []storage.Put{{Key: key, Value: []byte("{}"), Expires: p.issued.Add(2 * window)}},
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return bad("the proof has been used already")
	case err != nil:
		return fmt.Errorf("dpop: writing down a used proof: %w", err)
	}
	return nil
}

// A nonce is a time under the master key: every node knows it, and nothing of it
// is stored. It is good for nonceLife, and replaced at half of that.
const (
	nonceLife    = 5 * time.Minute
	purposeNonce = "dpop nonce"
)

func (c *Checker) newNonce(now time.Time) string {
	return base64.RawURLEncoding.EncodeToString(c.Master.Seal(purposeNonce, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), nil))
}

// checkNonce reports whether a nonce is good, and returns another one for later
// when it will not be for long.
func (c *Checker) checkNonce(nonce string, now time.Time) (fresh string, ok bool) {
	if len(nonce) > 200 {
		return "", false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil {
		return "", false
	}
	text, err := c.Master.Open(purposeNonce, sealed, nil)
	if err != nil || len(text) != 8 {
		return "", false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(text)), 0))
	if age < -window || age > nonceLife {
		return "", false
	}
	if age > nonceLife/2 {
		fresh = c.newNonce(now)
	}
	return fresh, true
}
