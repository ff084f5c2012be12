package accounts

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"

	"jeton/grants"
	"jeton/storage"
)

// sameName lets one import of a login name go on at a time in this process.
// Of two that are under way together each would take the other's claim for that
// of a process that died, and bury the other's `sub`.
var (
	sameName [1024]sync.Mutex
	nameSeed = maphash.MakeSeed()
)

// Import is [Users.Add] for a user who may have been imported before, by a run
// that was cut off or by the same line again: created is false then, and the
// user is left as it is.
func (u *Users) Import(ctx context.Context, n NewUser, act Act) (created bool, err error) {
	if name, err := storage.NormalName(n.Username); err == nil {
		turn := &sameName[maphash.String(nameSeed, name)%uint64(len(sameName))]
		turn.Lock()
		defer turn.Unlock()
	}
	if there, err := u.imported(ctx, n); there || err != nil {
		return false, err
	}
	_, err = u.Add(ctx, n, act)
	if errors.Is(err, grants.ErrExists) {
		// Another process imports the same.
		if there, again := u.imported(ctx, n); there || again != nil {
			return false, again
		}
	}
	return err == nil, err
}

// imported looks for the user by name. One who is there with another `sub`
// than the import says is somebody else.
func (u *Users) imported(ctx context.Context, n NewUser) (bool, error) {
	if strings.HasPrefix(n.Username, SubjectPrefix) {
		return false, nil // no name: Add says so
	}
	var old storage.User
	return found(func() (err error) {
		old, err = u.Find(ctx, n.Username)
		if err == nil && n.Subject != "" && old.Subject != n.Subject {
			return exists("the user", n.Username, "it has another sub than this line: choose another name, or leave the line out")
		}
		return err
	}, func() error {
		name, err := storage.NormalName(n.Username)
		if err != nil {
			return err
		}
		return u.userStays(ctx, name, old.Subject)
	})
}

// ImportedClient is a line of an import of clients.
type ImportedClient struct {
	NewClient
	// SecretHash is the secret as [storage.Client] keeps it, for who does not
	// have the secret itself.
	SecretHash string `json:"client_secret_hash,omitempty"`
	Disabled   bool   `json:"disabled,omitempty"`
}

// Import is [Clients.Add] for a client that may have been imported before. No
// secret is ever made, since an import could not tell it to anyone: a client
// that authenticates with one has to bring it.
func (c *Clients) Import(ctx context.Context, n ImportedClient, act Act) (created bool, err error) {
	if there, err := c.imported(ctx, n.ID); there || err != nil {
		return false, err
	}
	var client storage.Client
	n.apply(&client)
	var wrong faults
	switch uses := usesSecret(client); {
	case n.SecretHash != "" && (n.Secret != "" || !uses):
		wrong.add("client_secret_hash: it contradicts client_secret or the way the client authenticates: leave it out")
	case n.SecretHash != "" && !validSecretHash(n.SecretHash):
		wrong.add("client_secret_hash: write sha256: and the SHA-256 of the secret in 64 lower-case hex digits")
	case uses && n.Secret == "" && n.SecretHash == "":
		wrong.add("client_secret is missing: an import makes none; give it or client_secret_hash, public, jwks or jwks_uri")
	}
	if err := wrong.err(); err != nil {
		return false, err
	}
	_, _, err = c.add(ctx, n, act)
	if errors.Is(err, grants.ErrExists) {
		if there, again := c.imported(ctx, n.ID); there || again != nil {
			return false, again
		}
	}
	return err == nil, err
}

func (c *Clients) imported(ctx context.Context, id string) (bool, error) {
	return found(func() error {
		_, err := c.Find(ctx, id)
		return err
	}, func() error { return stays(ctx, c.Store, storage.ClientPartition(id), storage.ClientKey(id)) })
}

// validSecretHash reports whether the text is a hash as clients.HashSecret
// makes it.
func validSecretHash(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(digits) == 64 && !strings.ContainsFunc(digits, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f')
	})
}
