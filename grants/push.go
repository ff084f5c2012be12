package grants

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"jeton/storage"
)

// push is an authorization request that its client has pushed (RFC 9126). It is
// kept by nobody but its bearer: the request_uri is the request, sealed. So
// whoever pushes without end fills no store; what is stored, when the user has
// agreed, is that it was used.
type push struct {
	ID      string     `json:"id"`
	Expires time.Time  `json:"exp"`
	Request url.Values `json:"request"`
}

const (
	pushPrefix  = "urn:ietf:params:oauth:request_uri:"
	purposePush = "pushed authorization request"

	// PushTTL is how long a request_uri lives: for as long as it may take
	// somebody to sign in.
	PushTTL = 5 * time.Minute

	// MostPush bounds what a request_uri carries, as it travels in URLs.
	MostPush = 4 << 10
)

// Push seals a request that [Service.CheckPush] has passed.
func (s *Service) Push(ctx context.Context, client storage.Client, request url.Values) (uri string, err error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(push{ID: newID(), Expires: now.Add(PushTTL), Request: request})
	if err != nil {
		return "", err
	}
	return pushPrefix + base64.RawURLEncoding.EncodeToString(s.Master.Seal(purposePush, text, []byte(client.ID))), nil
}

// openPush reads a request_uri back, if it is this client's, alive, and unused.
func (s *Service) openPush(ctx context.Context, client storage.Client, uri string) (*push, url.Values, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(uri, pushPrefix))
	if err != nil {
		return nil, nil, errPushed("not base64url")
	}
	text, err := s.Master.Open(purposePush, sealed, []byte(client.ID))
	if err != nil {
		return nil, nil, errPushed("not one of this server, or of another client")
	}
	var p push
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, nil, errPushed("cannot be read")
	}
	snap, err := s.Store.Read(ctx, storage.ClientPartition(client.ID), storage.UsedPushKey(p.ID))
	switch {
	case err != nil:
		return nil, nil, err
	case snap.Rows[0].Version != 0:
		return nil, nil, errPushed("used before")
	case !snap.Now.Before(p.Expires):
		return nil, nil, errPushed("expired")
	}
	return &p, p.Request, nil
}

// usePush notes that the request has had its answer. Of two who try, one does.
func (s *Service) usePush(ctx context.Context, a AuthorizeRequest) error {
	if a.push == nil {
		return nil
	}
	key := storage.UsedPushKey(a.push.ID)
	_, err := s.Store.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(a.Client.Value.ID),
		Checks:    []storage.Check{{Key: key}},
		Puts:      []storage.Put{{Key: key, Value: []byte("{}"), Expires: a.push.Expires.Add(time.Minute)}},
	})
	if errors.Is(err, storage.ErrConflict) {
		return errPushed("used before")
	}
	return err
}
