package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"jeton/keys"
)

const (
	// setFresh is how long a fetched key set is taken without another look,
	// setStale how long it stands in while the address does not answer.
	setFresh = 5 * time.Minute
	setStale = time.Hour
	// refetchEvery bounds what a stranger, naming kids that nobody has, can
	// make the server fetch: one call in that time per client.
	refetchEvery = 30 * time.Second
	// maxSets bounds the memory. The sets of clients that nobody has registered
	// are small.
	maxSets     = 1000
	maxSetOther = 16 << 10
)

// keySets holds what was fetched from the jwks_uri of clients. No lock is held
// while a fetch is under way; requests that need the same set wait for one.
type keySets struct {
	client  *http.Client
	now     func() time.Time
	flights singleflight.Group

	mu   sync.Mutex
	sets map[setName]keySet
}

// setName has the client in it, so that no client's requests can use up the
// fetches of another with the same address.
type setName struct{ clientID, uri string }

type keySet struct {
	keys []keys.JWK
	// fetched is when the keys came, tried when they were last asked for.
	fetched, tried time.Time
	// err is what went wrong then.
	err error
}

func newKeySets(client *http.Client, now func() time.Time) *keySets {
	return &keySets{client: client, now: now, sets: make(map[setName]keySet)}
}

// get returns the keys at a client's address, from memory if they are fresh and
// the caller finds among them what it needs.
func (k *keySets) get(ctx context.Context, clientID, uri string, enough func([]keys.JWK) bool) ([]keys.JWK, error) {
	name := setName{clientID, uri}
	set := k.look(name)
	if k.now().Sub(set.fetched) >= setFresh || !enough(set.keys) {
		var err error
		if set, err = k.refetch(ctx, name); err != nil {
			return nil, err
		}
	}
	if len(set.keys) == 0 || k.now().Sub(set.fetched) >= setStale {
		return nil, &InvalidClientError{fmt.Errorf("the client's jwks_uri gives no keys: %w", set.err)}
	}
	return set.keys, nil
}

func (k *keySets) look(name setName) keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sets[name]
}

// refetch asks the address, unless that was done a moment ago, once for all who
// wait. The fetch goes on when the
// caller that began it has gone, since others wait for it too; the HTTP
// client bounds its time.
func (k *keySets) refetch(ctx context.Context, name setName) (keySet, error) {
	flight := k.flights.DoChan(name.clientID+"\x00"+name.uri, func() (any, error) {
		set := k.look(name)
		now := k.now()
		if !set.tried.IsZero() && now.Sub(set.tried) < refetchEvery {
			return set, nil
		}
		most := keys.MaxJWKSet
		if strings.HasPrefix(name.clientID, "https://") {
			most = maxSetOther
		}
		found, err := k.fetch(context.WithoutCancel(ctx), name.uri, most)
		if set.tried, set.err = now, err; err == nil {
			set.keys, set.fetched = found, now
		}
		k.keep(name, set)
		return set, nil
	})
	select {
	case landed := <-flight:
		return landed.Val.(keySet), landed.Err
	case <-ctx.Done():
		return keySet{}, fmt.Errorf("clients: the caller has gone: %w", ctx.Err())
	}
}

func (k *keySets) keep(name setName, set keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.sets[name]; !ok && len(k.sets) >= maxSets {
		for other := range k.sets { // any one: the order of a map is random
			delete(k.sets, other)
			break
		}
	}
	k.sets[name] = set
}

func (k *keySets) fetch(ctx context.Context, uri string, most int) ([]keys.JWK, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "jeton")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d (redirects are not followed)", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && kind != "application/jwk-set+json" {
		return nil, errors.New("the answer is not JSON by its Content-Type")
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > most {
		return nil, fmt.Errorf("the key set is larger than %d KiB", most>>10)
	}
	return keys.ParseJWKSet(text)
}
