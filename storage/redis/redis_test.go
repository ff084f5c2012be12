package redis_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
	"jeton/storage/storagetest"
)

// An address of the suite is the URL of a Redis and the prefix of one store.
var stores atomic.Int64

func newStore(url string) string {
	return fmt.Sprintf("%s s%d.%d", url, os.Getpid(), stores.Add(1))
}

func open(ctx context.Context, address string, now func() time.Time) (storage.Backend, error) {
	url, prefix, _ := strings.Cut(address, " ")
	at, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return redis.Open(ctx, redis.Options{Address: at, Prefix: prefix, Now: now})
}

// on is the suite's harness for stores on one Redis.
func on(url string) storagetest.Harness {
	return storagetest.Harness{New: func(testing.TB) string { return newStore(url) }, Open: open}
}

func TestMain(m *testing.M) { storagetest.Main(m, on("")) }

func TestContract(t *testing.T) {
	server := redistest.Start(t)
	storagetest.Run(t, on("redis://"+server.Addr))
}
