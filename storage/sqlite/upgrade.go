package sqlite

import (
	"context"
	"fmt"
	"time"
)

// upgrade brings the file to the newest schema. A store of an older one is
// first copied beside it, so that the version before can go on from there: what
// a migration does to a file nothing undoes. The caller holds the lock.
func (w *writer) upgrade(ctx context.Context, c *conn, steps []string, now time.Time) error {
	version, fresh, err := verify(c, w.path, len(steps))
	if err != nil || version == len(steps) {
		return err
	}
	if fresh || w.mark == "" { // what is apart is a copy itself
		return migrate(c, version, steps)
	}
	kept := fmt.Sprintf("%s.schema-%d-%s", w.path, version, now.UTC().Format("20060102T150405Z"))
	if err := backup(ctx, w.path, kept, now); err != nil {
		return fmt.Errorf("the store is of schema %d and this version needs %d; it is not brought up to date without a copy: %w", version, len(steps), err)
	}
	if err := migrate(c, version, steps); err != nil {
		return fmt.Errorf("the store stays as it was, and a copy is in %s: %w", kept, err)
	}
	w.log.Info("the store was brought up to date; to go back to the version before, run it on the copy", "schema", len(steps), "was", version, "copy", kept)
	return nil
}
