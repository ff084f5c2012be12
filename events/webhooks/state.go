package webhooks

import (
	"context"
	"errors"

	"jeton/storage"
)

func stateKey(name string) storage.Key {
	return storage.Key{Kind: storage.KindWebhookState, ID: name}
}

// mostTries bounds how often a change of a state meets another's.
const mostTries = 5

// change writes the state of a webhook, if set says that it has to be.
func (q *Queues) change(ctx context.Context, name string, set func(*storage.WebhookState) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	var err error
	for range mostTries {
		var snap storage.Snapshot
		if snap, err = q.Store.Read(ctx, storage.WebhookPartition(name), stateKey(name)); err != nil {
			return err
		}
		rec, decodeErr := storage.Decode[storage.WebhookState](snap.Rows[0])
		if decodeErr != nil {
			return decodeErr
		}
		if !set(&rec.Value) && rec.Exists() {
			return nil
		}
		rec.Value.Name = name
		_, err = q.Store.Commit(ctx, storage.Change{
			Partition: storage.WebhookPartition(name),
			Checks:    []storage.Check{rec.Check(stateKey(name))},
			Puts: []storage.Put{{
				Key: stateKey(name), Value: storage.Encode(rec.Value),
				Index: []storage.Entry{{Name: storage.IndexWebhooks, Sort: name}},
			}},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return err
}
