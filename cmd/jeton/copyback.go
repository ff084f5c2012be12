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

// abandoned goes back to a source that had moved, and reports whether its target
// was closed. A store that it did not go to is none of its business.
func (m *moving) abandoned(ctx context.Context, to string) (closed bool, err error) {
	if m.source.movedTo == to {
		closed, err = m.closeTarget(ctx)
	}
	if err == nil && m.source.movedTo != "" { // else it is in use
		err = m.source.back(ctx)
	}
	return closed, err
}

// closeTarget keeps a target that was finished from being served beside the source
// that comes back: two stores with the same sessions and keys, each with revocations
// that the other does not know. One that is not whole, or not there, nobody serves.
func (m *moving) closeTarget(ctx context.Context) (closed bool, err error) {
	if m.to.onRedis() {
		return m.closeRedis(ctx)
	}
	file, err := sqliteFile(m.to.Store.String())
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	s, err := sqlite.OpenSource(file)
	if err != nil {
		return false, storeError(file, err)
	}
	err = s.Hold()
	if err == nil {
		var kept string
		if kept, err = s.Retire(time.Now()); err == nil && m.told != nil {
			fmt.Fprintf(m.told, "%s is kept as %s\n", file, kept)
		}
	}
	return err == nil, errors.Join(err, s.Close())
}

func (m *moving) closeRedis(ctx context.Context) (closed bool, err error) {
	s, err := m.openRedis(ctx, m.to, func(o *redis.Options) { o.Existing, o.Source = true, true })
	var away *awayError
	switch {
	case errors.Is(err, redis.ErrNoStore):
		return false, nil
	case errors.As(err, &away): // the reason to go back, perhaps
		if m.told != nil {
			fmt.Fprintf(m.told, "%v: it could not be closed, so let no server have it again\n", err)
		}
		return false, nil
	case err != nil:
		return false, err
	}
	if closed = !s.IsFilling(); closed {
		if err = s.Hold(ctx, redis.Redact(m.from.Store.String())); err == nil {
			err = s.Leave(ctx)
		}
	}
	return closed && err == nil, errors.Join(err, s.Close())
}
