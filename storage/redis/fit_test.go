package redis_test

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
)

func options(t *testing.T, server *redistest.Server) redis.Options {
	t.Helper()
	at, err := redis.ParseURL("redis://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return redis.Options{Address: at}
}

func mustOpen(t *testing.T, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestUnfitServersAreRefused(t *testing.T) {
	evicting := redistest.Start(t, "--maxmemory-policy", "volatile-lru")
	o := options(t, evicting)
	if _, err := redis.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "maxmemory-policy") {
		t.Errorf("a Redis that evicts: %v", err)
	}
	if evicting.Do("dbsize").(int64) != 0 {
		t.Error("a Redis that was refused was written to")
	}
	o.AllowEviction = true
	if w := mustOpen(t, o).Durability().Weaknesses; !strings.Contains(strings.Join(w, "\n"), "removes sessions") {
		t.Errorf("nothing is said of eviction: %q", w)
	}

	master := redistest.Start(t)
	if _, err := redis.Open(t.Context(), options(t, master.Replica())); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a replica: %v", err)
	}
	master.Do("acl", "setuser", "little", "on", ">sesame", "~*", "+@all", "-hsetnx")
	o = options(t, master)
	o.Address.User, o.Password = "little", func() (string, error) { return "sesame", nil }
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "OPERATING.md") {
		t.Errorf("as a user who may not do all that a script does: %v", err)
	}
	protected := redistest.Start(t, "--requirepass", "sesame")
	o = options(t, protected)
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "--redis-password-file") {
		t.Errorf("without a password: %v", err)
	}
	o.Password = func() (string, error) { return "wrong", nil }
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "--redis-password-file") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	o.Password = func() (string, error) { return "sesame", nil }
	mustOpen(t, o)
}

// What a Redis may lose depends on how it is set up; one that is set up for full
// durability loses nothing.
func TestWeaknesses(t *testing.T) {
	server := redistest.Start(t)
	server.Replica()
	for _, c := range []struct {
		set  string // settings of the server
		wait int
		want []string
	}{
		{"appendonly no", 0, []string{"loses everything", "--redis-wait-replicas 1", "cut off"}},
		{"save 60 1", 0, []string{"only snapshots", "--redis-wait-replicas 1", "cut off"}},
		{"appendonly yes", 1, []string{"once a second", "cut off"}},
		{"appendfsync no", 1, []string{"half a minute", "cut off"}},
		{"appendfsync always", 1, []string{"cut off"}},
		{"min-replicas-to-write 1", 0, []string{"--redis-wait-replicas 1"}},
		{"min-replicas-to-write 1", 2, []string{"all writes are refused"}},
		{"min-replicas-to-write 1", 1, nil},
	} {
		name, value, _ := strings.Cut(c.set, " ")
		server.Do("config", "set", name, value)
		o := options(t, server)
		o.WaitReplicas, o.Prefix = c.wait, "w"
		s, err := redis.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Durability().Weaknesses
		s.Close()
		if len(got) != len(c.want) {
			t.Errorf("%s, waiting for %d: %q, want %q", c.set, c.wait, got, c.want)
			continue
		}
		for i, part := range c.want {
			if !strings.Contains(got[i], part) {
				t.Errorf("%s, waiting for %d: %q lacks %q", c.set, c.wait, got[i], part)
			}
		}
	}
}

// A commit that the replicas do not confirm is there, and nobody is told that it
// is done; once they are back, a commit that writes nothing confirms it.
func TestAReplicaThatDoesNotConfirm(t *testing.T) {
	server := redistest.Start(t)
	replica := server.Replica()
	o := options(t, server)
	o.WaitReplicas = 1
	s := mustOpen(t, o)
	key := storage.Key{Kind: "k", ID: "a"}
	v, err := s.Commit(t.Context(), storage.Change{Partition: "p", Puts: []storage.Put{{Key: key, Value: []byte("1")}}})
	if err != nil || v == 0 {
		t.Fatalf("with the replica there: %d, %v", v, err)
	}
	replica.Kill()
	v, err = s.Commit(t.Context(), storage.Change{Partition: "p", Puts: []storage.Put{{Key: key, Value: []byte("2")}}})
	if !errors.Is(err, storage.ErrUnconfirmed) {
		t.Fatalf("without it: %v", err)
	}
	snap, err := s.Read(t.Context(), "p", key)
	if err != nil || snap.Rows[0].Version != v || string(snap.Rows[0].Value) != "2" {
		t.Fatalf("what was not confirmed reads as %+v, %v", snap, err)
	}
	confirm := storage.Change{Partition: "p", Checks: []storage.Check{{Key: key, Version: v}}}
	if _, err := s.Commit(t.Context(), confirm); !errors.Is(err, storage.ErrUnconfirmed) {
		t.Errorf("confirmed without a replica: %v", err)
	}
	back := server.Replica()
	redistest.Until(t, "the commit is confirmed", func() bool {
		_, err := s.Commit(t.Context(), confirm)
		return err == nil
	})
	if back.Do("dbsize").(int64) != server.Do("dbsize").(int64) {
		t.Error("the replica has not all keys")
	}
}

// A Redis that was emptied is away: who has a session must not hear that there
// is none.
func TestAnEmptiedServerIsAway(t *testing.T) {
	server := redistest.Start(t)
	s := mustOpen(t, options(t, server))
	key := storage.Key{Kind: "k", ID: "a"}
	put := storage.Change{Partition: "p", Puts: []storage.Put{{Key: key, Value: []byte("1"), Index: []storage.Entry{{Name: "i", Sort: "a"}}}}}
	if _, err := s.Commit(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	server.Do("flushall")
	_, read := s.Read(t.Context(), "p", key)
	_, commit := s.Commit(t.Context(), put)
	_, list := s.List(t.Context(), storage.Query{Index: "i", Limit: 1})
	_, one := s.List(t.Context(), storage.Query{Index: "i", Partition: "p", Limit: 1})
	_, sweep := s.Sweep(t.Context(), 1)
	_, now := s.Now(t.Context())
	for i, err := range []error{read, commit, list, one, sweep, now} {
		if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), s.ID()) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	another := mustOpen(t, options(t, server)) // a server that is started again
	if another.ID() == s.ID() {
		t.Error("a new store has the name of the old one")
	}
	if _, err := s.Read(t.Context(), "p", key); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the old store is back: %v", err)
	}
}

// How a Redis is set up is said at the start, and when it changes.
func TestTheSetupIsSaid(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--min-replicas-to-write", "0")
	server.Replica()
	var said bytes.Buffer
	o := options(t, server)
	o.WaitReplicas, o.Log = 1, slog.New(slog.NewTextHandler(&said, nil))
	s, err := redis.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(Redis|Valkey) \d+\.\d+\.\d+, maxmemory-policy noeviction, appendfsync always, replicas 1, min-replicas-to-write 0`)
	got := s.Durability().Setup
	s.Close() // nothing writes to the log from here on
	if len(got) != 1 || !want.MatchString(got[0]) {
		t.Errorf("the setup is %q", got)
	}
	if !want.MatchString(said.String()) {
		t.Errorf("the log: %s", &said)
	}

	c := redistest.StartCluster(t, 3)
	at, err := redis.ParseURL(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, redis.Options{Address: at, Prefix: "s"}).Durability().Setup; len(got) != 1 || !strings.Contains(got[0], "nothing on disk, replicas 0") {
		t.Errorf("the setup of masters that are alike is %q", got)
	}
}
