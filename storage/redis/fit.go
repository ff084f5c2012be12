package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

// server is what one master says of itself.
type server struct {
	address  string
	info     map[string]string
	fsync    string // empty when it does not tell
	unsaved  bool   // it takes no snapshots
	minimum  int    // replicas without which it refuses to write
	replicas int
	clock    reading
}

// oldest is the first version whose scripts and expiries are as this package
// needs them.
const oldest = "6.2"

// fit refuses a Redis that cannot keep a store, and notes what one that can may
// lose.
func (s *Store) fit(ctx context.Context) error {
	servers, err := s.servers(ctx)
	if err != nil {
		return unavailable(err)
	}
	for _, m := range servers {
		if err := m.usable(s.o.AllowEviction); err != nil {
			return err
		}
		if err := m.room(); err != nil && s.o.NeedsRoom {
			return err
		}
	}
	s.found(servers)
	return nil
}

func (m server) usable(evicting bool) error {
	policy := m.info["maxmemory_policy"]
	switch {
	case older(m.info["redis_version"], oldest):
		return fmt.Errorf("the Redis at %s is version %s: take %s or later", m.address, m.info["redis_version"], oldest)
	case m.info["role"] == "slave":
		return fmt.Errorf("%w: the Redis at %s is a replica: name its master, or use redis+sentinel:// to follow it", storage.ErrUnavailable, m.address)
	case policy != "" && policy != "noeviction" && !evicting:
		return fmt.Errorf("the Redis at %s has the maxmemory-policy %s: when its memory is full it removes sessions, revocations and keys. "+
			"Set maxmemory-policy noeviction, or accept that with --redis-allow-eviction", m.address, policy)
	}
	return nil
}

// servers asks all masters.
func (s *Store) servers(ctx context.Context) ([]server, error) {
	begun := time.Now()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		m, err := ask(ctx, s.client.(*redis.Client), begun)
		if m.address == "FailoverClient" {
			m.address = s.o.Address.Master
		}
		return []server{m}, err
	}
	var mu sync.Mutex
	var all []server
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		m, err := ask(ctx, c, begun)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, m)
		return err
	})
	slices.SortFunc(all, func(a, b server) int { return compare(a.address, b.address) })
	return all, err
}

func ask(ctx context.Context, c *redis.Client, begun time.Time) (m server, err error) {
	m = server{address: c.Options().Addr, info: make(map[string]string)}
	if m.clock, err = readClock(ctx, c, begun); err != nil {
		return m, err
	}
	for _, section := range []string{"server", "memory", "persistence", "replication"} {
		text, err := c.Info(ctx, section).Result()
		if err != nil {
			return m, err
		}
		for line := range strings.Lines(text) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				m.info[key] = value
				if strings.HasPrefix(key, "slave") && strings.Contains(value, "state=online") {
					m.replicas++
				}
			}
		}
	}
	// Hosted ones may forbid this.
	if settings, err := c.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		m.fsync = settings["appendfsync"]
	}
	if settings, err := c.ConfigGet(ctx, "save").Result(); err == nil {
		m.unsaved = settings["save"] == ""
	}
	if settings, err := c.ConfigGet(ctx, "min-replicas-to-write").Result(); err == nil {
		m.minimum, _ = strconv.Atoi(settings["min-replicas-to-write"])
	}
	return m, nil
}

// older compares versions such as 7.0.15 by their numbers.
func older(version, than string) bool {
	v, t := strings.Split(version, "."), strings.Split(than, ".")
	for i := range min(len(v), len(t)) {
		a, _ := strconv.Atoi(v[i])
		b, _ := strconv.Atoi(t[i])
		if a != b {
			return a < b
		}
	}
	return false
}

// found notes how the masters are set up and what may be lost, and tells the log
// what is new about it.
func (s *Store) found(servers []server) {
	d := storage.Durability{ReadsAhead: s.o.WaitReplicas > 0}
	for _, m := range servers {
		d.Setup = append(d.Setup, m.setup())
		d.Weaknesses = append(d.Weaknesses, m.weaknesses(s.o)...)
	}
	d.Setup, d.Weaknesses = distinct(d.Setup), distinct(d.Weaknesses)
	slow, fast := furthest(servers)
	d.ClocksApart = fast.clock.least - slow.clock.most
	before := s.Durability()
	s.tellClocks(before.ClocksApart, d.ClocksApart, slow, fast)
	s.durability.Store(&d)
	for _, w := range d.Setup {
		if !slices.Contains(before.Setup, w) {
			s.o.Log.Info("the store is on this Redis", "setup", w)
		}
	}
	for _, w := range d.Weaknesses {
		if !slices.Contains(before.Weaknesses, w) {
			s.o.Log.Warn("this Redis may lose what it has acknowledged", "why", w)
		}
	}
}

// distinct leaves out what stands there before: masters are set up alike.
func distinct(words []string) (d []string) {
	for _, w := range words {
		if !slices.Contains(d, w) {
			d = append(d, w)
		}
	}
	return d
}

// Durability implements [storage.Backend].
func (s *Store) Durability() storage.Durability {
	if d := s.durability.Load(); d != nil {
		return *d
	}
	return storage.Durability{ReadsAhead: s.o.WaitReplicas > 0}
}

// setup is how a master is set up, as far as it matters here and it tells.
func (m server) setup() string {
	product := "Redis " + m.info["redis_version"]
	if v := m.info["valkey_version"]; v != "" {
		product = "Valkey " + v
	}
	disk := "appendfsync " + cmp.Or(m.fsync, "unknown")
	switch {
	case m.info["aof_enabled"] != "1" && m.unsaved:
		disk = "nothing on disk"
	case m.info["aof_enabled"] != "1":
		disk = "snapshots"
	}
	return fmt.Sprintf("%s, maxmemory-policy %s, %s, replicas %d, min-replicas-to-write %d",
		product, cmp.Or(m.info["maxmemory_policy"], "unknown"), disk, m.replicas, m.minimum)
}

// weaknesses are the ways in which a master may lose what it has acknowledged.
func (m server) weaknesses(o Options) (w []string) {
	switch aof := m.info["aof_enabled"] == "1"; {
	case !aof && m.unsaved:
		w = append(w, "nothing is written to disk: a restart of Redis loses everything (appendonly yes, appendfsync always)")
	case !aof:
		w = append(w, "only snapshots are written to disk: a restart of Redis loses everything since the last one (appendonly yes, appendfsync always)")
	case m.fsync == "everysec":
		w = append(w, "the disk is written once a second: a crash of Redis's machine loses the last seconds (appendfsync always)")
	case m.fsync == "no":
		w = append(w, "the disk is written when the system likes: a crash of Redis's machine loses half a minute (appendfsync always)")
	case m.fsync == "":
		w = append(w, "Redis does not tell how often it writes to disk: a crash of its machine may lose the last seconds")
	}
	switch {
	case m.replicas > o.WaitReplicas:
		w = append(w, fmt.Sprintf("commits do not wait for all %d replicas: a failover loses the last writes, revocations among them (--redis-wait-replicas %d)", m.replicas, m.replicas))
	case m.replicas < o.WaitReplicas:
		w = append(w, fmt.Sprintf("%d replicas have to confirm each commit and %d are connected: all writes are refused until they are back", o.WaitReplicas, m.replicas))
	}
	if m.replicas > 0 && m.minimum == 0 {
		w = append(w, "a master that is cut off from its replicas goes on writing, and loses that when it is replaced (min-replicas-to-write 1)")
	}
	if p := m.info["maxmemory_policy"]; p != "" && p != "noeviction" {
		w = append(w, "when its memory is full Redis removes sessions, revocations and keys (maxmemory-policy noeviction)")
	}
	return w
}
