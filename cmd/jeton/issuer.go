package main

import (
	"context"
	"errors"

	"jeton/storage"
)

// issuerKey is the row that remembers how the server of a store is called.
var issuerKey = storage.Key{Kind: storage.KindIssuer, ID: "-"}

// noteIssuer remembers the issuer and warns when the store has had another one:
// two servers then disagree, whose tokens are foreign to each other, or a
// setting was lost, and every token and every API goes by the name of before.
func (n *node) noteIssuer(ctx context.Context) error {
	issuer := n.grants.Settings.Issuer
	for {
		snap, err := n.store.Read(ctx, storage.SystemPartition, issuerKey)
		if err != nil {
			return err
		}
		was, err := storage.Decode[string](snap.Rows[0])
		if err != nil && !errors.Is(err, storage.ErrDamaged) || was.Value == issuer {
			return err
		}
		_, err = n.store.Commit(ctx, storage.Change{
			Partition: storage.SystemPartition, Checks: []storage.Check{was.Check(issuerKey)},
			Puts: []storage.Put{{Key: issuerKey, Value: storage.Encode(issuer)}},
		})
		if errors.Is(err, storage.ErrConflict) {
			continue // another server begins too
		}
		if err == nil && was.Value != "" {
			n.log.Warn("this store was last served under another issuer, and who goes by the one refuses tokens of the other: give all servers of a store the same --issuer; if it was changed on purpose there is nothing to do",
				"issuer", issuer, "was", was.Value)
		}
		return err
	}
}
