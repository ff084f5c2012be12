package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// closeTarget keeps a target that was finished from being served beside the source
// that comes back: two stores with the same sessions and keys, each with revocations
// that the other does not know. One that is not whole, or not there, nobody serves.
func (m *moving) closeTarget(ctx context.Context) error {
	if m.to.onRedis() {
		return m.closeRedis(ctx)
	}
	file, err := sqliteFile(m.to.Store.String())
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s, err := sqlite.OpenSource(file)
	if err != nil {
		return storeError(file, err)
	}
	err = s.Hold()
	if err == nil {
		var kept string
		if kept, err = s.Retire(time.Now()); err == nil && m.told != nil {
			fmt.Fprintf(m.told, "%s is kept as %s\n", file, kept)
		}
	}
	return errors.Join(err, s.Close())
}

func (m *moving) closeRedis(ctx context.Context) error {
	s, err := m.openRedis(ctx, m.to, func(o *redis.Options) { o.Existing, o.Source = true, true })
	var away *awayError
	switch {
	case errors.Is(err, redis.ErrNoStore):
		return nil
	case errors.As(err, &away): // the reason to go back, perhaps
		if m.told != nil {
			fmt.Fprintf(m.told, "%v: it could not be closed, so let no server have it again\n", err)
		}
		return nil
	case err != nil:
		return err
	}
	if !s.IsFilling() {
		if err = s.Hold(ctx, redis.Redact(m.from.Store.String())); err == nil {
			err = s.Leave(ctx)
		}
	}
	return errors.Join(err, s.Close())
}
