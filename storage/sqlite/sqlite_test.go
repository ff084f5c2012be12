package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/sqlite"
	"jeton/storage/storagetest"
)

var harness = storagetest.Harness{
	New: func(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "jeton.db") },
	Open: func(ctx context.Context, address string, now func() time.Time) (storage.Backend, error) {
		return sqlite.Open(ctx, sqlite.Options{Path: address, Now: now})
	},
}

func TestMain(m *testing.M) { storagetest.Main(m, harness) }

func TestContract(t *testing.T) { storagetest.Run(t, harness) }
