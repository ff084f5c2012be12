package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is a Redis Cluster of masters without replicas.
type Cluster struct {
	Nodes []*Server
	moved map[int64]int // where slots are that are not where they were at first
}

// StartCluster forms a cluster of so many masters.
func StartCluster(t testing.TB, masters int) *Cluster {
	t.Helper()
	c := &Cluster{moved: make(map[int64]int)}
	for range masters {
		c.Nodes = append(c.Nodes, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"))
	}
	for i, n := range c.Nodes {
		n.Do("cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1)
		n.Do("cluster", "set-config-epoch", i+1)
	}
	for _, n := range c.Nodes[1:] {
		c.Nodes[0].Do("cluster", "meet", "127.0.0.1", n.Port)
	}
	Until(t, "the cluster is formed", func() bool {
		for _, n := range c.Nodes {
			info := fmt.Sprint(n.Do("cluster", "info"))
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", masters)) ||
				!strings.Contains(info, "cluster_slots_ok:16384") {
				return false
			}
		}
		return true
	})
	return c
}

const slots = 16384

// URL is the cluster's address.
func (c *Cluster) URL() string {
	var hosts []string
	for _, n := range c.Nodes {
		hosts = append(hosts, n.Addr)
	}
	return "redis+cluster://" + strings.Join(hosts, ",")
}

// Slot is the slot of a key.
func (c *Cluster) Slot(key string) int64 { return c.Nodes[0].Do("cluster", "keyslot", key).(int64) }

// owner is the index of the node that has a slot.
func (c *Cluster) owner(slot int64) int {
	if i, ok := c.moved[slot]; ok {
		return i
	}
	share := func(i int) int64 { return int64(i * slots / len(c.Nodes)) }
	for i := range c.Nodes {
		if share(i) <= slot && slot < share(i+1) {
			return i
		}
	}
	return -1
}

// Move moves a slot from the node that has it to the next one, key by key, as
// redis-cli does. between is called when about half of the keys have moved.
func (c *Cluster) Move(t testing.TB, slot int64, between func()) {
	t.Helper()
	at := c.owner(slot)
	from, to := c.Nodes[at], c.Nodes[(at+1)%len(c.Nodes)]
	fromID, toID := fmt.Sprint(from.Do("cluster", "myid")), fmt.Sprint(to.Do("cluster", "myid"))
	to.Do("cluster", "setslot", slot, "importing", fromID)
	from.Do("cluster", "setslot", slot, "migrating", toID)
	half := from.Do("cluster", "countkeysinslot", slot).(int64) / 2
	for moved := int64(0); ; moved++ {
		if moved == half {
			between()
		}
		keys, _ := from.Do("cluster", "getkeysinslot", slot, 1).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do("migrate", "127.0.0.1", to.Port, keys[0], 0, 5000)
	}
	for _, n := range append([]*Server{to, from}, c.Nodes...) {
		n.Do("cluster", "setslot", slot, "node", toID)
	}
	c.moved[slot] = (at + 1) % len(c.Nodes)
}

// Sentinels watch a master with replicas, and replace it when it dies.
type Sentinels struct {
	Master   *Server
	Replicas []*Server
	watchers []*Server
}

// StartSentinels starts a master, so many replicas and three Sentinels.
func StartSentinels(t testing.TB, replicas int, args ...string) *Sentinels {
	t.Helper()
	s := &Sentinels{Master: Start(t, args...)}
	for range replicas {
		s.Replicas = append(s.Replicas, s.Master.Replica(args...))
	}
	for range 3 {
		w := New(t, FreePort(t))
		conf := filepath.Join(w.dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor jeton 127.0.0.1 %d 2\nsentinel down-after-milliseconds jeton 500\nsentinel failover-timeout jeton 3000\n",
			w.Port, w.dir, s.Master.Port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.args = []string{conf, "--sentinel"}
		w.Run()
		s.watchers = append(s.watchers, w)
	}
	Until(t, "the Sentinels know each other and the replicas", func() bool {
		for _, w := range s.watchers {
			info := fmt.Sprint(w.Do("info", "sentinel"))
			if !strings.Contains(info, "slaves="+strconv.Itoa(replicas)) || !strings.Contains(info, "sentinels=3") {
				return false
			}
		}
		return true
	})
	return s
}

// URL is the address by which the Sentinels are asked.
func (s *Sentinels) URL() string {
	var hosts []string
	for _, w := range s.watchers {
		hosts = append(hosts, w.Addr)
	}
	return "redis+sentinel://" + strings.Join(hosts, ",") + "/jeton"
}

// Calm keeps the Sentinels from replacing a master that is only slow: what it has
// acknowledged without its replicas would be lost.
func (s *Sentinels) Calm() {
	for _, w := range s.watchers {
		w.Do("sentinel", "set", "jeton", "down-after-milliseconds", "60000")
	}
}

// Fail kills the master and waits until a replica has taken its place.
func (s *Sentinels) Fail(t testing.TB) {
	t.Helper()
	s.Master.Kill()
	s.replaced(t)
}

// Freeze stops the master until a replica has taken its place. For some seconds
// from then on there are two who take themselves for the master.
func (s *Sentinels) Freeze(t testing.TB) {
	t.Helper()
	frozen := s.Master
	frozen.Signal(syscall.SIGSTOP)
	defer frozen.Signal(syscall.SIGCONT)
	s.replaced(t)
}

// replaced waits for another master; the one of before is among the replicas then.
// Where Sentinels choose none for long, it is there again, and is the master still.
func (s *Sentinels) replaced(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for i, r := range s.Replicas {
			// A replica drops its clients when it becomes the master.
			if info, _ := r.Client.Info(t.Context(), "replication").Result(); strings.Contains(info, "role:master") {
				s.Master, s.Replicas[i] = r, s.Master
				return
			}
		}
	}
	t.Log("the Sentinels chose no other master")
	if s.Master.cmd == nil {
		s.Master.Run()
	}
}

// Rejoin has those who are not the master follow it, and starts those that were
// killed. Sentinels would do it by themselves, after some 10 s.
func (s *Sentinels) Rejoin() {
	for _, r := range s.Replicas {
		if r.cmd == nil {
			r.Run()
		}
		// A Sentinel that says the same now drops whoever speaks to it.
		Until(r.t, "a replica follows the master", func() bool {
			return r.Client.ReplicaOf(context.Background(), "127.0.0.1", strconv.Itoa(s.Master.Port)).Err() == nil
		})
	}
}

// Whole reports whether all replicas are in step.
func (s *Sentinels) Whole() bool { return s.Master.online() == len(s.Replicas) }
