package grants

import (
	"context"
	"crypto/sha256"
	"sync"

	"jeton/keys"
)

// mostVerified bounds the memory of [verified]: about 1 KB each.
const mostVerified = 4096

// verified remembers the access tokens whose signature was right, by their
// hash: an API that introspects shows the same ones again and again, and a
// signature that was right stays so. Whether its key is still one of ours, and
// what has become of token, session, user and client, is looked up each time.
type verified struct {
	mu     sync.Mutex
	claims map[tokenHash]seenAccess
	order  []tokenHash
	next   int
}

type tokenHash [sha256.Size]byte

// seenAccess is shared: its slices must not be changed.
type seenAccess struct {
	kid    string
	claims accessClaims
}

func (v *verified) get(h tokenHash) (seenAccess, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen, ok := v.claims[h]
	return seen, ok
}

func (v *verified) put(h tokenHash, seen seenAccess) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.claims == nil {
		v.claims, v.order = make(map[tokenHash]seenAccess), make([]tokenHash, mostVerified)
	}
	if _, ok := v.claims[h]; ok {
		return
	}
	delete(v.claims, v.order[v.next])
	v.claims[h], v.order[v.next] = seen, h
	v.next = (v.next + 1) % mostVerified
}

// parseAccess verifies the signature of an access token and reads its claims.
func (s *Service) parseAccess(ctx context.Context, token string) (accessClaims, error) {
	h := tokenHash(sha256.Sum256([]byte(token)))
	if seen, ok := s.verified.get(h); ok && s.Keys.Holds(s.Now(), keys.UseSig, seen.kid) {
		return seen.claims, nil
	}
	var c accessClaims
	if err := s.Keys.Parse(ctx, s.Now(), keys.UseSig, token, typAccess, &c); err != nil {
		return c, err
	}
	header, err := keys.CheckCompact(token)
	if err == nil {
		s.verified.put(h, seenAccess{header.KeyID, c})
	}
	return c, err
}
