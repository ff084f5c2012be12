package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"jeton/storage"
)

// Options say where the store is and how it is written to. The zero value of all
// but Address works.
type Options struct {
	// Address is where Redis is, see [ParseURL].
	Address Address
	// Password returns the password of each new connection, SentinelPassword
	// that of the Sentinels; nil takes those of the address.
	Password, SentinelPassword func() (string, error)
	// TLS is used where the address asks for TLS.
	TLS *tls.Config
	// Prefix begins the name of every key. Empty is "jeton".
	Prefix string
	// WaitReplicas is how many replicas must have a commit before it is
	// acknowledged, WaitTime how long they may take. Zero is 1 s.
	WaitReplicas int
	WaitTime     time.Duration
	// Wait is the longest that a call waits for Redis before it fails with
	// storage.ErrUnavailable. Zero is 5 s.
	Wait time.Duration
	// Existing opens only a store that is there: else the error is ErrNoStore.
	Existing bool
	// Filling makes a store that nobody else may use before [Store.Filled], or
	// opens the one that was made so: it names what the store is filled from.
	Filling string
	// Source opens a store to be read as a whole, though it may have moved.
	Source bool
	// Life makes a store that goes by itself: none of its keys stands for longer
	// than this after it was last written, and the store as a whole for no longer
	// than this after it was made. It is for what is over in far less, and may be
	// killed before it removes what it has written. Zero is a store that stays.
	Life time.Duration
	// NeedsRoom opens no Redis for which [Store.Room] has an error.
	NeedsRoom bool
	// AllowEviction opens a Redis that removes keys when its memory is full.
	AllowEviction bool
	// Waiting is called once when Redis does not answer at the beginning: it is
	// tried again until Wait is over. nil is nobody.
	Waiting func(cause error)
	// Log is told what the store has noticed. nil is nobody.
	Log *slog.Logger
	// Now is the store's clock. nil is that of Redis.
	Now func() time.Time
}

// Store is a Redis, opened.
type Store struct {
	o       Options
	client  redis.UniversalClient
	id      string
	fresh   bool
	filled  bool
	movedTo string
	holder  int // see [Store.Hold]
	copier  int // see [Store.Filled]
	groups  []group
	changes changes

	onLost     atomic.Pointer[func()]
	offset     offset // of Redis's clock from this machine's
	durability atomic.Pointer[storage.Durability]
	scripts    sync.Map // of a store that goes by itself, by those of any other

	mu      sync.Mutex
	closing bool
	calls   sync.WaitGroup
	stop    context.CancelFunc
	work    sync.WaitGroup
	err     error
	once    sync.Once
}

var _ storage.Backend = (*Store)(nil)

// Open opens the store, or makes it where there is none.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.Prefix = cmp.Or(o.Prefix, "jeton")
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.WaitTime = cmp.Or(o.WaitTime, time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if !validPrefix(o.Prefix) {
		return nil, fmt.Errorf("storage: %q is no prefix of Redis keys: take up to 64 letters, digits and . : _ -", o.Prefix)
	}
	quiet.Do(func() { redis.SetLogger(silence{}) })
	s := &Store{o: o, client: redis.NewUniversalClient(o.universal())}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("storage: %w", err), s.client.Close())
	}
	work, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !o.Source {
		s.work.Go(func() { s.watch(work) })
	}
	return s, nil
}

// The client library would write to stderr by itself. What it has to say comes
// back as errors too.
var quiet sync.Once

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// universal is how the client library is told. It must not send anything twice:
// only [Store.run] knows what may be.
func (o Options) universal() *redis.UniversalOptions {
	a := o.Address
	u := &redis.UniversalOptions{
		Addrs: a.Hosts, DB: a.Database, MasterName: a.Master, IsClusterMode: a.Cluster,
		Protocol: 2, Username: a.User, Password: a.password, SentinelUsername: a.User, SentinelPassword: a.password,
		MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1,
		DialTimeout: 2 * time.Second, ReadTimeout: o.Wait, WriteTimeout: o.Wait, PoolTimeout: o.Wait, ContextTimeoutEnabled: true,
		PoolSize: poolSize, ConnMaxIdleTime: 5 * time.Minute, PipelinePoolSize: -1,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.Password != nil {
		u.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := o.Password()
			return a.User, password, err
		}
	}
	if a.Master != "" && o.SentinelPassword != nil {
		u.SentinelUsername = ""
		u.SentinelPassword, _ = o.SentinelPassword()
	}
	if a.TLS {
		u.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			u.TLSConfig = o.TLS.Clone()
		}
	}
	return u
}

// poolSize is how many connections a node of Redis gets at most from a process.
const poolSize = 64

// enter counts a call, or says why none may begin.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return unavailable(context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return storage.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// Close lets the calls under way finish and ends the background work.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.calls.Wait()
		s.stop()
		s.work.Wait()
		s.err = s.client.Close()
		s.changes.signal()
	})
	return s.err
}
