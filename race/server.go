package race

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"jeton/accounts"
	"jeton/events/status"
	"jeton/grants"
	"jeton/keys"
	"jeton/passwords"
	"jeton/storage"
)

// What nobody outside of a race ever sees.
const (
	issuer   = "http://race.invalid"
	password = "wonderland-wonderland"
)

// windows are the retry windows of the clients.
var windows = map[string]time.Duration{"strict": 0, "lenient": 10 * time.Second}

// roleNames are the roles of [history.Roles], by their bits.
var roleNames = []string{"ROLE_USER", "ROLE_EDITOR", "ROLE_CHIEF"}

// server is what a server is but for HTTP.
type server struct {
	grants    *grants.Service
	users     *accounts.Users
	passwords *passwords.Passwords
	master    *keys.MasterKey
}

// newServer makes a server. All have the master key and the hashing of the first.
func newServer(ctx context.Context, backend storage.Backend, beside []*server) (*server, error) {
	store := storage.New(backend)
	s := &server{}
	var err error
	if len(beside) > 0 {
		s.master, s.passwords = beside[0].master, beside[0].passwords
	} else {
		secret := make([]byte, 32)
		rand.Read(secret)
		if s.master, err = keys.NewMasterKey(secret); err != nil {
			return nil, err
		}
		if s.passwords, err = passwords.New(passwords.Config{}); err != nil {
			return nil, err
		}
	}
	silent := slog.New(slog.DiscardHandler)
	ring, err := keys.Open(ctx, store, s.master, keys.Config{Alg: keys.ES256})
	if err != nil {
		return nil, err
	}
	s.grants = &grants.Service{
		Settings: grants.Settings{
			Issuer: issuer, AccessTokenTTL: 30 * time.Minute, RefreshTokenTTL: storage.Day, SessionTTL: storage.Day, MaxSessions: 100,
		},
		Store: store, Keys: ring, Master: s.master, Places: status.New(store, status.Config{}), Passwords: s.passwords,
		Log: silent, Now: time.Now,
	}
	s.users = &accounts.Users{Store: store, Grants: s.grants, Passwords: s.passwords}
	return s, nil
}

// close ends the background work. The store is the caller's.
func (s *server) close() {
	s.grants.Places.Close() // what it holds of lists goes with the store
	s.grants.Keys.Close()
}

func (s *server) addClient(ctx context.Context, id string, window time.Duration) error {
	of := storage.Duration(window)
	c := storage.Client{ID: id, Grants: []string{storage.GrantPassword, storage.GrantRefreshToken}, Scopes: []string{"race"}, RefreshRetryWindow: &of}
	_, err := s.grants.Store.Commit(ctx, storage.Change{Partition: storage.ClientPartition(id), Puts: []storage.Put{
		{Key: storage.ClientKey(id), Value: storage.Encode(c), Index: storage.ClientIndex(c)},
	}})
	return err
}

func (s *server) addUser(ctx context.Context, name, hash string) error {
	_, err := s.users.Import(ctx, accounts.NewUser{Username: name, Roles: roleNames[:1], PasswordHash: hash}, accounts.Act{By: "operator"})
	return err
}

// token asks the token endpoint.
func (s *server) token(ctx context.Context, client string, req grants.Request) (grants.Response, error) {
	c, err := s.grants.Store.CachedClient(ctx, client)
	if err != nil {
		return grants.Response{}, err
	}
	req.Client = c
	return s.grants.Token(ctx, req)
}

// refused reports whether an error is a verdict.
func refused(err error, code grants.Code) bool {
	var e *grants.Error
	return errors.As(err, &e) && e.Code == code
}

// silent reports whether an error says nothing: the store could not be asked, or
// nobody knows what it has done.
func silent(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknown) || errors.Is(err, storage.ErrUnconfirmed)
}
