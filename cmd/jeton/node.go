package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"jeton/accounts"
	"jeton/dpop"
	"jeton/events"
	"jeton/events/backchannel"
	"jeton/events/lists"
	"jeton/events/status"
	"jeton/events/webhooks"
	"jeton/grants"
	"jeton/keys"
	"jeton/outbound"
	"jeton/passwords"
	"jeton/server"
	"jeton/storage"
	"jeton/storage/sqlite"
	"jeton/throttle"
	"jeton/traces"
)

// node is everything that serves and administers one store, without any way to
// it from outside.
type node struct {
	store    *storage.Store
	ring     *keys.Ring
	places   *status.Allocator
	lists    *lists.Publisher
	throttle *throttle.Throttle
	grants   *grants.Service
	webhooks *webhooks.Dispatcher
	notifier *backchannel.Notifier
	history  events.History
	traces   *traces.Tracer     // nil unless they are asked for
	recover  *accounts.Recovery // nil unless mail is sent
	log      *slog.Logger
}

// openNode opens the store and what stands on it. What it cannot open it leaves
// as it was.
func openNode(ctx context.Context, s *Settings, issuer string, log *slog.Logger) (*node, error) {
	if s.onRedis() {
		return openRedisNode(ctx, s, issuer, log, true)
	}
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return nil, err
	}
	// In this order: who begins a store makes it before its key.
	heir := s.hasMasterKey()
	fresh := storeIdentity(file) == ""
	n, err := openNodeOn(ctx, s, issuer, log, sqlite.Options{Path: file, Mark: s.MarkFile.String(), Log: log})
	if err == nil && fresh {
		log.Info("began a new store", "file", file)
	}
	if err == nil && fresh && heir {
		log.Warn("a new store was begun beside a master key that was there before it: if you expected your users and clients, end the server, see that the disk is mounted and --store is right, and put the store or a backup back", "file", file)
	}
	return n, err
}

// openNodeOn is openNode on a file that need not be the store of the settings.
func openNodeOn(ctx context.Context, s *Settings, issuer string, log *slog.Logger, o sqlite.Options) (*node, error) {
	backend, err := sqlite.Open(ctx, o)
	if err != nil {
		return nil, storeError(o.Path, err)
	}
	n := &node{log: log, store: storage.New(backend)}
	if err := n.build(ctx, s, issuer); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *node) build(ctx context.Context, s *Settings, issuer string) error {
	n.store.Log = n.log
	hasher, err := passwords.New(s.passwordConfig(issuer))
	if err != nil {
		return err
	}
	master, err := masterKey(ctx, s, n.store)
	if err != nil {
		return err
	}
	n.ring, err = keys.Open(ctx, n.store, master, keys.Config{
		Alg: s.SigningAlg.word, RSABits: int(s.RSABits), Log: n.log, PromotionWait: time.Duration(s.KeyPromotionWait),
		MaxAccessTTL: time.Duration(maxLife["access-token-ttl"]), MaxSessionTTL: time.Duration(maxLife["session-ttl"]),
	})
	if err != nil {
		return err
	}
	n.places = status.New(n.store, status.Config{})
	n.lists = lists.New(lists.Config{
		Store: n.store, Keys: n.ring, Issuer: issuer, Log: n.log,
		MostWaiting: max(1, int(s.MaxConnections)/2), // the others are for those who do not wait
	})
	if n.throttle, err = throttle.Open(ctx, throttle.Config{Store: n.store, Log: n.log}); err != nil {
		return err
	}
	n.grants = &grants.Service{
		Settings: grants.Settings{
			Issuer:             issuer,
			AccessTokenTTL:     time.Duration(s.AccessTokenTTL),
			RefreshTokenTTL:    time.Duration(s.RefreshTokenTTL),
			SessionTTL:         time.Duration(s.SessionTTL),
			RefreshRetryWindow: time.Duration(s.RefreshRetryWindow),
			MaxSessions:        int(s.MaxSessions),
			SignInIdle:         time.Duration(s.SignInIdleTTL),
			SignInTTL:          time.Duration(s.SignInTTL),
			DeviceCodeTTL:      time.Duration(s.DeviceCodeTTL),
			DeviceInterval:     time.Duration(s.DeviceInterval),
			RequirePush:        bool(s.RequirePAR),
			Registration:       s.registration(),
			SecretOverlap:      time.Duration(s.ClientSecretOverlap),
			OpenResources:      s.OpenClientResources,
			On:                 s.reactions(),
		},
		Store: n.store, Keys: n.ring, Master: master, Places: n.places, Passwords: hasher, Throttle: n.throttle,
		Documents: s.documents(n),
		Proofs:    &dpop.Checker{Store: n.store, Master: master, RequireNonce: bool(s.DPoPNonce)}, Log: n.log, Now: time.Now,
	}
	n.webhooks = webhooks.NewDispatcher(webhooks.Config{
		Queues: webhooks.Queues{Store: n.store, Hooks: s.webhooks()},
		Keys:   n.ring, Issuer: issuer, Allow: s.OutboundAllow, Log: n.log,
	})
	n.history = events.History{Store: n.store, Kept: time.Duration(s.EventHistory)}
	n.notifier = &backchannel.Notifier{
		Store: n.store, Keys: n.ring, Issuer: issuer, Log: n.log,
		HTTP: outbound.NewClient(outbound.Config{Allow: s.OutboundAllow, MaxBytes: 64 << 10}),
	}
	return nil
}

// passwordConfig is the rules and hashes of passwords.
func (s *Settings) passwordConfig(issuer string) passwords.Config {
	return passwords.Config{
		Memory:       uint32(s.KDFMemory),
		Passes:       int(s.KDFTime),
		Concurrency:  int(s.KDFConcurrency),
		MinLength:    int(s.PasswordMinLength),
		RefusedFile:  s.PasswordBlocklist.String(),
		ServiceWords: []string{"jeton", hostOf(issuer)},
	}
}

// warnOfAlgorithm tells that a setting has not taken effect yet: the store has
// keys of another algorithm, and they sign until they are rotated out.
func (n *node) warnOfAlgorithm(alg string) {
	for _, k := range n.ring.List(time.Now()) {
		if k.Use == keys.UseSig && k.State == keys.Current && k.Alg != alg {
			n.log.Warn("tokens are still signed with another algorithm than signing-alg says; the next rotation changes that: jeton key rotate",
				"signs", k.Alg, "signing-alg", alg)
		}
	}
}

// accounts is the administration of users and clients.
func (n *node) accounts() *server.Admin {
	return &server.Admin{
		Users:   &accounts.Users{Store: n.store, Grants: n.grants, Passwords: n.grants.Passwords},
		Clients: &accounts.Clients{Store: n.store, Grants: n.grants},
		Grants:  n.grants,

		Webhooks: &n.webhooks.Queues,
	}
}

// admin is the door of the operator.
func (n *node) admin() http.Handler { return n.accounts().OperatorDoor() }

// tracesTime bounds how long the last spans hold up the end.
const tracesTime = 3 * time.Second

// close ends the background work and lets go of the store.
func (n *node) close() {
	if n.traces != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tracesTime)
		n.traces.Close(ctx) // what it could not send has been logged
		cancel()
	}
	if n.throttle != nil {
		if err := n.throttle.Close(); err != nil {
			n.log.Warn("the latest failed sign-ins were not written down; they count again from what was", "cause", err)
		}
	}
	if n.places != nil {
		if err := n.places.Close(); err != nil {
			n.log.Warn("status lists were not closed in order", "cause", err)
		}
	}
	if n.lists != nil {
		n.lists.Close()
	}
	if n.ring != nil {
		n.ring.Close()
	}
	if err := n.store.Close(); err != nil {
		n.log.Warn("the store was not closed in order", "cause", err)
	}
}

// storeError says in one sentence why a store cannot be opened.
func storeError(file string, err error) error {
	if errors.Is(err, storage.ErrUnavailable) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return &awayError{"the store " + file + " is out of reach", err}
	}
	return fmt.Errorf("the store %s cannot be opened and was left as it is: %w", file, err)
}

// issuer is what the server is called: as set, or after the address it
// listens on, which without a listener is the one it would take.
func (s *Settings) issuer(addr net.Addr) string {
	if s.Issuer != "" {
		return s.Issuer.String()
	}
	if addr == nil {
		_, port, err := net.SplitHostPort(s.Listen.String())
		if err != nil {
			return "http://127.0.0.1"
		}
		addr = named(net.JoinHostPort("", port))
	}
	return issuerOf(s.Listen.String(), addr, s.TLSCert != "")
}

// named is an address that is known by its name only.
type named string

func (named) Network() string  { return "tcp" }
func (n named) String() string { return string(n) }

func hostOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
