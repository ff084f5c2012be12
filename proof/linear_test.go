package proof_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// crew is several servers on one Redis, and the history of what clients saw.
type crew struct {
	*alone
	nodes []atomic.Pointer[node]
	begun time.Time
	ids   atomic.Int64 // of operations
	made  atomic.Int64 // sessions

	mu      sync.Mutex
	history []porcupine.Operation
}

// actor is what clients know of one session.
type actor struct {
	number int
	mu     sync.Mutex
	tokens []string // by number, from 1
	access string
	over   bool
}

// TestLinearizable lets clients loose on sessions, on three servers that are
// killed and stopped, on a Redis that is killed, over a network that loses
// replies and delivers requests late; and looks for an order of all that they
// saw that one server without faults could have made.
//
// SOAK is how long, such as 1h; SEED repeats the choices of a run.
func TestLinearizable(t *testing.T) {
	length, seed := 20*time.Second, rand.Uint64()
	if d, err := time.ParseDuration(os.Getenv("SOAK")); err == nil {
		length = d
	}
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("SEED=%d SOAK=%v", seed, length)
	c := &crew{alone: newAlone(t, "--appendonly", "yes", "--appendfsync", "always"), nodes: make([]atomic.Pointer[node], 3), begun: time.Now()}
	for i := range c.nodes {
		c.nodes[i].Store(c.start())
	}
	c.proxy.Lose(8)
	c.proxy.Postpone(4)
	var stop atomic.Bool
	var all sync.WaitGroup
	actors := make([]atomic.Pointer[actor], 24)
	for i := range actors {
		actors[i].Store(c.newActor())
	}
	for i := range 16 {
		choices := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for !stop.Load() {
				place := &actors[choices.IntN(len(actors))]
				if a := place.Load(); c.act(a, choices) {
					place.CompareAndSwap(a, c.newActor())
				}
			}
		})
	}
	c.trouble(rand.New(rand.NewPCG(seed, 99)), length)
	stop.Store(true)
	all.Wait()
	wrong := linearizable(t, c.history)
	t.Logf("%d operations on %d sessions; %d replies lost, %d requests late", len(c.history), c.made.Load(), c.proxy.Lost.Load(), c.proxy.Postponed.Load())
	for _, part := range wrong {
		for _, op := range part {
			t.Logf("%d..%d %+v -> %+v", op.Call/1e6, op.Return/1e6, op.Input, op.Output)
		}
		t.Errorf("no order explains this session; SEED=%d", seed)
	}
	if len(c.history) < 200 {
		t.Errorf("only %d operations: nothing was tried", len(c.history))
	}
}

// trouble makes some, one kind after the other.
func (c *crew) trouble(choices *rand.Rand, length time.Duration) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(time.Duration(500+choices.IntN(1000)) * time.Millisecond)
		place := &c.nodes[choices.IntN(len(c.nodes))]
		switch choices.IntN(6) {
		case 0:
			place.Load().kill()
			place.Store(c.start())
		case 2:
			n := place.Load()
			n.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(300 * time.Millisecond)
			n.cmd.Process.Signal(syscall.SIGCONT)
		case 3:
			c.server.Signal(syscall.SIGSTOP)
			time.Sleep(300 * time.Millisecond)
			c.server.Signal(syscall.SIGCONT)
		case 4:
			c.server.Kill()
			c.server.Run()
		default:
			c.proxy.Sever()
		}
	}
}

func (c *crew) any(choices *rand.Rand) *node { return c.nodes[choices.IntN(len(c.nodes))].Load() }

func (c *crew) newActor() *actor {
	for i := 0; ; i++ {
		a := c.nodes[i%len(c.nodes)].Load().post("/token", "strict", "grant_type", "password", "username", "user0", "password", password)
		if a.status == 200 {
			return &actor{number: int(c.made.Add(1)), tokens: []string{"", a.Token}, access: a.Access}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// act does one thing to a session, and reports whether that is over.
func (c *crew) act(who *actor, choices *rand.Rand) (over bool) {
	who.mu.Lock()
	token, access, last := len(who.tokens)-1, who.access, len(who.tokens)-1
	over = who.over
	who.mu.Unlock()
	in := act{session: who.number, kind: "refresh", id: int(c.ids.Add(1))}
	n := c.any(choices)
	var a answer
	switch draw := choices.IntN(100); {
	case draw < 25:
		in.kind = "active"
	case draw < 27:
		in.kind = "revoke"
	case draw < 29 && last > 1:
		token = 1 + choices.IntN(last)
	}
	in.token = token
	who.mu.Lock()
	text := who.tokens[token]
	who.mu.Unlock()
	call := time.Since(c.begun).Nanoseconds()
	switch in.kind {
	case "active":
		in.token = 0
		a = n.post("/introspect", "api", "token", access)
	case "revoke":
		a = n.post("/revoke", "strict", "token", text)
	default:
		a = n.refresh("strict", text)
	}
	done := porcupine.Operation{Input: in, Call: call, Return: time.Since(c.begun).Nanoseconds()}
	out := outcome{known: a.status == 200 || a.status == 400 && a.Error == "invalid_grant"}
	switch {
	case !out.known:
		done.Return = forever
	case in.kind == "active":
		out.ok = a.Active
	case in.kind == "revoke":
		out.ok = true
	case a.status == 200:
		out.ok, out.token = true, who.learn(a)
	}
	done.Output = out
	c.mu.Lock()
	c.history = append(c.history, done)
	c.mu.Unlock()
	if out.known && (in.kind == "revoke" || !out.ok) {
		who.mu.Lock()
		who.over = true
		who.mu.Unlock()
	}
	return over
}

// learn numbers a refresh token.
func (a *actor) learn(got answer) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, t := range a.tokens {
		if t == got.Token {
			return i
		}
	}
	a.tokens, a.access = append(a.tokens, got.Token), got.Access
	return len(a.tokens) - 1
}
