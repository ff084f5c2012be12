package grants

import (
	"context"
	"errors"
	"sync"
	"time"

	"jeton/keys"
	"jeton/storage"
)

// accessMemo remembers the latest access tokens, and the ID tokens that went with
// them, so that a crowd of retries costs one signature of each. An access token is
// found by its id and key, which together fix all its claims: a change of scope or
// roles takes a new id. For ID tokens see [Service.refreshedID].
type accessMemo struct {
	mu     sync.Mutex
	tokens map[memoKey]*memoEntry
	order  []memoKey
	next   int
}

type memoKey struct{ kid, jti string }

type memoEntry struct {
	once  sync.Once
	token string
	err   error
}

// mostMemos bounds the memory: about 1 KB each.
const mostMemos = 4096

func (m *accessMemo) entry(k memoKey) *memoEntry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens == nil {
		m.tokens, m.order = make(map[memoKey]*memoEntry), make([]memoKey, mostMemos)
	}
	if e := m.tokens[k]; e != nil {
		return e
	}
	delete(m.tokens, m.order[m.next])
	e := new(memoEntry)
	m.tokens[k], m.order[m.next] = e, k
	m.next = (m.next + 1) % mostMemos
	return e
}

// once returns the token of an entry. The first who asks for it makes it.
func (m *accessMemo) once(k memoKey, sign func() (string, error)) (string, error) {
	e := m.entry(k)
	e.once.Do(func() { e.token, e.err = sign() })
	if e.err != nil {
		m.forget(k)
	}
	return e.token, e.err
}

// forget drops an entry that holds no token, so that the next one tries again.
func (m *accessMemo) forget(k memoKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tokens, k)
}

// signAccess signs the session's access token: a new one with the current key,
// one that was answered before with the key that signed it then.
func (s *Service) signAccess(ctx context.Context, ses *storage.Session, now time.Time) (string, error) {
	if ses.Access.KeyID != "" {
		token, err := s.repeatAccess(ctx, *ses)
		if !errors.Is(err, keys.ErrUnknownKey) {
			return token, err
		}
		// That key was removed by hand: the same claims under the current one.
	}
	token, kid, err := s.Keys.Sign(ctx, now, keys.UseSig, typAccess, s.sessionAccess(*ses))
	if err != nil {
		return "", err
	}
	ses.Access.KeyID = kid
	e := s.memo.entry(memoKey{kid, ses.Access.ID})
	e.once.Do(func() { e.token = token })
	return token, nil
}

func (s *Service) repeatAccess(ctx context.Context, ses storage.Session) (string, error) {
	k := memoKey{ses.Access.KeyID, ses.Access.ID}
	return s.memo.once(k, func() (string, error) {
		// Others wait for this one: whoever asked first must not take it down.
		return s.Keys.SignWith(context.WithoutCancel(ctx), k.kid, keys.UseSig, typAccess, s.sessionAccess(ses))
	})
}

// signRefresh makes the session's refresh token, or makes it again: HS256 gives
// the same token for the same claims.
func (s *Service) signRefresh(ctx context.Context, ses *storage.Session, secret []byte, now time.Time) (string, error) {
	claims := s.sessionRefresh(*ses, secret)
	if ses.Refresh.KeyID != "" {
		return s.Keys.SignWith(ctx, ses.Refresh.KeyID, keys.UseRefresh, typRefresh, claims)
	}
	token, kid, err := s.Keys.Sign(ctx, now, keys.UseRefresh, typRefresh, claims)
	ses.Refresh.KeyID = kid
	return token, err
}
