package clients

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/chosen"
)

const issuer = "https://login.example"

// rig is a real store with a clock that tests set.
type rig struct {
	*testing.T
	store *storage.Store
	auth  *Authenticator
	clock atomic.Int64
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{T: t}
	r.clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	backend, err := chosen.Open(t.Context(), filepath.Join(t.TempDir(), "jeton.db"), r.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	r.store = storage.New(backend)
	c := Config{Store: r.store, Issuer: issuer, Now: r.now}
	if change != nil {
		change(&c)
	}
	if r.auth, err = New(c); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) now() time.Time          { return time.Unix(0, r.clock.Load()).UTC() }
func (r *rig) advance(d time.Duration) { r.clock.Add(int64(d)) }

// put stores a client, beside the cache as another process would.
func (r *rig) put(c storage.Client) {
	r.Helper()
	_, err := r.store.Backend.Commit(r.Context(), storage.Change{
		Partition: storage.ClientPartition(c.ID),
		Puts:      []storage.Put{{Key: storage.ClientKey(c.ID), Value: storage.Encode(c)}},
	})
	if err != nil {
		r.Fatal(err)
	}
}

// accepted and refused try credentials.
func (r *rig) accepted(name string, c Credentials) {
	r.Helper()
	rec, err := r.auth.Authenticate(r.Context(), c)
	if err != nil {
		r.Errorf("%s: %v (%v)", name, err, cause(err))
	} else if !rec.Exists() || rec.Value.ID == "" {
		r.Errorf("%s: no client", name)
	}
}

func (r *rig) refused(name string, c Credentials) {
	r.Helper()
	rec, err := r.auth.Authenticate(r.Context(), c)
	if !errors.Is(err, ErrInvalidClient) {
		r.Errorf("%s: got %v, want invalid_client", name, err)
		return
	}
	if rec.Exists() || rec.Value.ID != "" {
		r.Errorf("%s: refused, and yet a client is returned", name)
	}
	if err.Error() != ErrInvalidClient.Error() || cause(err) == nil {
		r.Errorf("%s: text %q, cause %v", name, err, cause(err))
	}
}

func cause(err error) error {
	if e, ok := errors.AsType[*InvalidClientError](err); ok {
		return e.Cause
	}
	return nil
}
