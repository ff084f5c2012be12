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

	// usedBy is the browser whose sign-in it has answered a moment ago.
	usedBy string
}

const (
	pushPrefix  = "urn:ietf:params:oauth:request_uri:"
	purposePush = "pushed authorization request"

	// PushTTL is how long a request_uri lives: for as long as it may take
	// somebody to sign in.
	PushTTL = 5 * time.Minute

	// secondClick is how long the browser that had the answer may ask again (RFC
	// 9126 §7.3): who clicks twice would otherwise see a refusal, and never the
	// answer that the first click got.
	secondClick = 10 * time.Second

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
	if err != nil {
		return nil, nil, err
	}
	used, err := storage.Decode[storage.UsedPush](snap.Rows[0])
	switch {
	case err != nil:
		return nil, nil, err
	case used.Exists() && !snap.Now.Before(used.Value.At.Add(secondClick)):
		return nil, nil, errPushed("used before")
	case !snap.Now.Before(p.Expires):
		return nil, nil, errPushed("expired")
	}
	p.usedBy = used.Value.Browser
	return &p, p.Request, nil
}

// answered refuses a request that has had its answer to whoever did not get it.
func (a AuthorizeRequest) answered(in *SignedIn) error {
	if a.push == nil || a.push.usedBy == "" || in != nil && in.SignIn.Value.Browser == a.push.usedBy {
		return nil
	}
	return errPushed("used before")
}

// usePush notes that the request has had its answer. Of two browsers that try,
// one does.
func (s *Service) usePush(ctx context.Context, a AuthorizeRequest, in SignedIn) error {
	if a.push == nil || a.push.usedBy != "" {
		return a.answered(&in)
	}
	partition, key := storage.ClientPartition(a.Client.Value.ID), storage.UsedPushKey(a.push.ID)
	note := storage.UsedPush{Browser: in.SignIn.Value.Browser, At: in.Now}
	_, err := s.Store.Commit(ctx, storage.Change{
		Partition: partition,
		Checks:    []storage.Check{{Key: key}},
		Puts:      []storage.Put{{Key: key, Value: storage.Encode(note), Expires: a.push.Expires.Add(time.Minute)}},
	})
	if !errors.Is(err, storage.ErrConflict) {
		return err
	}
	snap, err := s.Store.Read(ctx, partition, key)
	if err != nil {
		return err
	}
	used, err := storage.Decode[storage.UsedPush](snap.Rows[0])
	switch {
	case err != nil:
		return err
	case !used.Exists(): // for longer than any of this takes
		return errPushed("expired")
	}
	a.push.usedBy = used.Value.Browser
	return a.answered(&in)
}
