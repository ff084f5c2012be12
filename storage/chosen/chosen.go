// Package chosen opens the store that the tests run on: SQLite, or with
// TEST_REDIS the Redis at that address. So the suites of the packages above
// run on either, unchanged. It is imported by tests alone.
package chosen

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

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

// Written is all that the store of that path has written, for tests that look
// for what must not be there: the file and its log, or keys and what they hold.
func Written(t testing.TB, path string) string {
	t.Helper()
	var all strings.Builder
	url := os.Getenv(Variable)
	if url == "" {
		for _, name := range []string{path, path + "-wal"} {
			b, err := os.ReadFile(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			all.Write(b)
		}
		return all.String()
	}
	o, err := client.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(o)
	defer c.Close()
	ctx := t.Context()
	keys := c.Scan(ctx, 0, Prefix(path)+":*", 1000).Iterator()
	for keys.Next(ctx) {
		held, err := held(ctx, c, keys.Val())
		if err != nil && err != client.Nil { // it has expired meanwhile
			t.Fatal(err)
		}
		fmt.Fprintln(&all, keys.Val(), held)
	}
	if keys.Err() != nil {
		t.Fatal(keys.Err())
	}
	return all.String()
}

func held(ctx context.Context, c *client.Client, key string) (any, error) {
	switch kind := c.Type(ctx, key).Val(); kind {
	case "string":
		return c.Get(ctx, key).Result()
	case "hash":
		return c.HGetAll(ctx, key).Result()
	case "zset":
		return c.ZRange(ctx, key, 0, -1).Result()
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("%s is a %s: let this read it too", key, kind)
	}
}

// SQLiteOnly skips a test that looks into the file.
func SQLiteOnly(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) != "" {
		t.Skip("this is about the SQLite file")
	}
}
