package proof_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// fault is something that is done to servers, their store or what is between.
type fault struct {
	name string
	do   func(c *crew, choices *rand.Rand)
}

// trouble makes some, one kind after the other, until there is enough, and
// reports whether there was before its time.
func (c *crew) trouble(choices *rand.Rand, length time.Duration, enough func() bool) (early bool) {
	for end := time.Now().Add(length); ; {
		calm := time.Duration(300+choices.IntN(700)) * time.Millisecond
		if left := time.Until(end); left < calm {
			time.Sleep(left)
			return enough()
		}
		time.Sleep(calm)
		if enough() {
			return true
		}
		f := c.faults[choices.IntN(len(c.faults))]
		at := c.history.Now()
		f.do(c, choices)
		c.log = append(c.log, fmt.Sprintf("%8d..%-8d µs  %s", at.Microseconds(), c.history.Now().Microseconds(), f.name))
	}
}

func (c *crew) berth(choices *rand.Rand) *berth { return c.nodes[choices.IntN(len(c.nodes))] }

// killNode is kill -9; another server takes the place of the one that was killed.
// Until it does nobody asks there, who would only learn that nobody answers.
var killNode = fault{"kill -9 of a server", func(c *crew, choices *rand.Rand) {
	b := c.berth(choices)
	b.node.Swap(nil).kill()
	c.launch(b)
}}

var stopNode = fault{"a server is stopped", func(c *crew, choices *rand.Rand) {
	n := c.berth(choices).node.Load()
	n.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(time.Duration(100+choices.IntN(600)) * time.Millisecond)
	n.cmd.Process.Signal(syscall.SIGCONT)
}}

// slowClients is latency between the clients and one server, cutClients ends
// their connections.
var slowClients = fault{"slow clients", func(c *crew, choices *rand.Rand) {
	p := c.berth(choices).front
	p.Delay(time.Duration(10+choices.IntN(60)) * time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	p.Delay(0)
}}

var cutClients = fault{"clients are cut off", func(c *crew, choices *rand.Rand) { c.berth(choices).front.Sever() }}

// slowStore is latency between one server and the store, severStore ends its
// connections, cutStore keeps it from making any, and stallStore lets nothing
// through: for so long at times that the server gives up, and what it has sent
// arrives all the same.
var slowStore = fault{"a slow store", func(c *crew, choices *rand.Rand) {
	p := c.berth(choices).back
	p.Delay(time.Duration(10+choices.IntN(40)) * time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	p.Delay(0)
}}

var severStore = fault{"connections to the store are cut", func(c *crew, choices *rand.Rand) { c.berth(choices).back.Sever() }}

var cutStore = fault{"the store is out of reach of a server", func(c *crew, choices *rand.Rand) {
	p := c.berth(choices).back
	p.Cut(true)
	time.Sleep(time.Duration(200+choices.IntN(1000)) * time.Millisecond)
	p.Cut(false)
}}

var stallStore = fault{"nothing goes to the store, or comes", func(c *crew, choices *rand.Rand) {
	d := time.Duration(100+choices.IntN(900)) * time.Millisecond
	if choices.IntN(6) == 0 {
		d = 6 * time.Second
	}
	c.berth(choices).back.Stall(d)
}}

// onOneRedis is a Redis that is killed and stopped, with a way of its own to each
// server.
func onOneRedis(t *testing.T) *crew {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := muster(&place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr}, server.Addr)
	for _, b := range c.nodes {
		b.back.Lose(8)
		b.back.Postpone(4)
	}
	stopRedis := fault{"Redis is stopped", func(_ *crew, choices *rand.Rand) {
		server.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(100+choices.IntN(400)) * time.Millisecond)
		server.Signal(syscall.SIGCONT)
	}}
	killRedis := fault{"Redis is killed", func(*crew, *rand.Rand) {
		server.Kill()
		server.Run()
	}}
	c.faults = []fault{killNode, killNode, stopNode, slowClients, cutClients, slowStore, severStore, cutStore, stallStore, stopRedis, killRedis}
	return c
}

// onSentinel is a master with two replicas, both of which have to confirm: with
// one alone Sentinels may choose the other, which has less. The master is killed, or
// stopped for so long that another takes its place, and is there again.
func onSentinel(t *testing.T) *crew {
	s := redistest.StartSentinels(t, 2, "--appendonly", "yes", "--appendfsync", "always", "--min-replicas-to-write", "1")
	c := muster(&place{t: t, dir: t.TempDir(), address: s.URL(), env: []string{"JETON_REDIS_WAIT_REPLICAS=2"}}, "")
	c.doubts = true
	failover := func(fail func(testing.TB)) func(c *crew, choices *rand.Rand) {
		return func(c *crew, choices *rand.Rand) {
			if s.Whole() {
				fail(t)
				time.Sleep(time.Duration(choices.IntN(2000)) * time.Millisecond)
				s.Rejoin()
			}
		}
	}
	fail, freeze := fault{"the master is killed", failover(s.Fail)}, fault{"the master is stopped", failover(s.Freeze)}
	c.faults = []fault{fail, fail, freeze, killNode, stopNode, cutClients}
	return c
}

// onCluster are three masters whose slots move from one to the other.
func onCluster(t *testing.T) *crew {
	cluster := redistest.StartCluster(t, 3)
	c := muster(&place{t: t, dir: t.TempDir(), address: cluster.URL()}, "")
	move := fault{"slots move", func(c *crew, choices *rand.Rand) {
		for range 16 {
			cluster.Move(t, cluster.Slot(fmt.Sprintf("{p%03d}", choices.IntN(64))), func() {
				time.Sleep(time.Duration(choices.IntN(20)) * time.Millisecond)
			})
		}
	}}
	stopMaster := fault{"a master is stopped", func(_ *crew, choices *rand.Rand) {
		n := cluster.Nodes[choices.IntN(len(cluster.Nodes))]
		n.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(100+choices.IntN(400)) * time.Millisecond)
		n.Signal(syscall.SIGCONT)
	}}
	c.faults = []fault{move, move, move, stopMaster, killNode, stopNode, cutClients}
	return c
}

// onSQLite are processes of one machine on one file.
func onSQLite(t *testing.T) *crew {
	dir := t.TempDir()
	c := muster(&place{t: t, dir: dir, address: "sqlite:" + filepath.Join(dir, "jeton.db")}, "")
	c.faults = []fault{killNode, killNode, stopNode, slowClients, cutClients}
	return c
}
