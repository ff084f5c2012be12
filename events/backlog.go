package events

import (
	"context"
	"time"

	"jeton/storage"
)

// mostBacklog bounds how far a backlog is counted.
const mostBacklog = 1000

// Backlog is how many events wait in the outbox, counted up to a thousand, and
// how long the oldest has waited.
func Backlog(ctx context.Context, store *storage.Store) (waiting int, age time.Duration, err error) {
	page, err := store.List(ctx, storage.Query{Index: storage.IndexOutbox, Limit: mostBacklog})
	if err != nil || len(page.Rows) == 0 {
		return 0, 0, err
	}
	oldest, err := storage.Decode[storage.Event](page.Rows[0])
	if err != nil {
		return len(page.Rows), 0, nil // one that this version cannot read waits too
	}
	return len(page.Rows), max(0, page.Now.Sub(oldest.Value.Time)), nil
}
