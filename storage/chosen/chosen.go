// Package chosen opens the store that the tests run on: SQLite, or with
// TEST_REDIS the Redis at that address. So the suites of the packages above
// run on either, unchanged. It is imported by tests alone.
package chosen

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// Variable names the Redis to run on.
const Variable = "TEST_REDIS"

// Open opens the store of that path. On Redis each path is a prefix of its own,
// so that two that open the same one share a store there too. now may be nil.
func Open(ctx context.Context, path string, now func() time.Time) (storage.Backend, error) {
	url := os.Getenv(Variable)
	if url == "" {
		return sqlite.Open(ctx, sqlite.Options{Path: path, Now: now})
	}
	at, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return redis.Open(ctx, redis.Options{Address: at, Prefix: Prefix(path), Now: now})
}

// Prefix is what a store of that path has on Redis.
func Prefix(path string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(path)))[:24] }

// SQLiteOnly skips a test that looks into the file.
func SQLiteOnly(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) != "" {
		t.Skip("this is about the SQLite file")
	}
}
