// Package backchannel tells clients that a session of theirs has ended (OpenID
// Connect Back-Channel Logout 1.0): it posts a logout token to the address that
// the client is registered with.
//
// The commit that ends a session writes a row for it ([storage.LogoutPut]), so
// none is forgotten. A [Notifier], on one node at a time, sends what is due,
// several at once, and deletes the row when the client has taken it. What it
// does not take is tried again, later each time, and given up in the end: its
// access tokens are revoked in any case.
//
// Which sessions have a client to be told is decided in package grants; which
// addresses may be called, in package outbound.
package backchannel

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
)

// How a notifier works.
const (
	lookEvery = 2 * time.Second // without a sign of change
	atOnce    = 16              // calls under way
	most      = 8               // tries: the last about four hours after the first
	firstWait = 2 * time.Minute
	tokenLife = 2 * time.Minute
	settle    = 5 * time.Second
)

// Type is the typ header of a logout token (§2.4).
const Type = "logout+jwt"

// eventURI is the member of `events` that makes a logout token one.
const eventURI = "http://schemas.openid.net/event/backchannel-logout"

// Notifier delivers. All nodes run one; whoever has work to do takes a lease
// first.
type Notifier struct {
	Store  *storage.Store
	Keys   *keys.Ring
	Issuer string
	// HTTP makes the calls; see package outbound.
	HTTP *http.Client
	Log  *slog.Logger
}

// Run delivers until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	lease := events.NewLease(n.Store, "backchannel")
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
		defer cancel()
		lease.Release(ctx)
	}()
	trouble := false
	for ctx.Err() == nil {
		changed := n.Store.Changed()
		err := n.step(ctx, &lease)
		if err != nil && !trouble && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "clients are not told of ended sessions: the store is in trouble, trying again until it works", "error", err)
		}
		trouble = err != nil
		if trouble {
			changed = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		case <-changed:
			select {
			case <-ctx.Done():
			case <-time.After(lookEvery / 10): // more will follow
			}
		}
	}
}

// step delivers all that is due. A quiet server writes nothing.
func (n *Notifier) step(ctx context.Context, lease *events.Lease) error {
	for ctx.Err() == nil {
		page, err := n.Store.List(ctx, storage.Query{Index: storage.IndexLogouts, Limit: atOnce})
		if err != nil || len(page.Rows) == 0 {
			return err
		}
		due := page.Rows[:0:0]
		for _, row := range page.Rows {
			if rec, err := storage.Decode[storage.LogoutNotice](row); err == nil && !page.Now.Before(rec.Value.Due) {
				due = append(due, row)
			}
		}
		if len(due) == 0 {
			return nil
		}
		if held, err := lease.Hold(ctx); err != nil || !held {
			return err
		}
		if err := n.deliver(ctx, due, page.Now); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends several notices at once, and writes down what became of each.
func (n *Notifier) deliver(ctx context.Context, rows []storage.Row, now time.Time) error {
	errs := make(chan error, len(rows))
	var wg sync.WaitGroup
	for _, row := range rows {
		wg.Go(func() { errs <- n.one(ctx, row, now) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Notifier) one(ctx context.Context, row storage.Row, now time.Time) error {
	rec, err := storage.Decode[storage.LogoutNotice](row)
	if err != nil {
		return err
	}
	notice := rec.Value
	client, err := n.Store.CachedClient(ctx, notice.ClientID)
	if err != nil {
		return err
	}
	change := storage.Change{Partition: row.Partition, Checks: []storage.Check{rec.Check(row.Key)}}
	failure := error(nil)
	if address := client.Value.BackchannelLogoutURI; address != "" {
		failure = n.send(ctx, address, notice, now)
	}
	switch notice.Tries++; {
	case ctx.Err() != nil:
		return nil // ending: another node, or the next start, goes on
	case failure == nil:
		change.Deletes = []storage.Key{row.Key}
	case notice.Tries >= most:
		n.Log.WarnContext(ctx, "a client was not told that its session has ended, and will not be: see to its backchannel_logout_uri",
			"client_id", notice.ClientID, "sid", notice.SessionID, "error", failure)
		change.Deletes = []storage.Key{row.Key}
	default:
		notice.Due = now.Add(firstWait << (notice.Tries - 1))
		change.Puts = []storage.Put{storage.LogoutPut(notice)}
	}
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	if _, err = n.Store.Commit(commit, change); err != nil {
		return fmt.Errorf("backchannel: %w", err)
	}
	return nil
}

// claims are those of a logout token (§2.4). It never has a nonce, which is what
// tells it from an ID token where somebody forgets to look at typ.
type claims struct {
	jwt.RegisteredClaims
	SessionID string                    `json:"sid"`
	Events    map[string]map[string]any `json:"events"`
}

// send posts one logout token (§2.5): 200 and 204 mean that it was taken.
func (n *Notifier) send(ctx context.Context, address string, notice storage.LogoutNotice, now time.Time) error {
	id := make([]byte, 16)
	rand.Read(id)
	token, _, err := n.Keys.Sign(ctx, now, keys.UseSig, Type, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: n.Issuer, Subject: notice.Subject, Audience: jwt.ClaimStrings{notice.ClientID},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)), ID: base64.RawURLEncoding.EncodeToString(id),
		},
		SessionID: notice.SessionID, Events: map[string]map[string]any{eventURI: {}},
	})
	if err != nil {
		return err
	}
	body := url.Values{"logout_token": {token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := n.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the client answered %d", resp.StatusCode)
	}
	return nil
}
