package proof_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/history"
	"jeton/storage/redis/redistest"
)

const (
	// callers ask at once, for as many people as there are at a time.
	callers, people = 16, 24
	// round is the longest history that is looked at as one. A long run has many.
	round = 30 * time.Second
	// patience is for the history of one user, on a machine with other things to do.
	patience = 3 * time.Minute
	// fewest is how many operations say something. A machine with other things to
	// do gets longer for them.
	fewest = 300
)

// variant is a store, and what is done to it and to the servers.
type variant struct {
	name string
	// length is how long it takes in short.
	length time.Duration
	begin  func(t *testing.T) *crew
}

// TestLinearizable lets clients loose on users and their sessions, on three
// servers that are killed, stopped and cut off, over a network that is slow,
// loses replies and delivers requests late, on stores that fail; and looks for an
// order of all that they saw that one server without faults could have made.
//
// SOAK is how long, such as 1h; SEED repeats the choices of a round.
func TestLinearizable(t *testing.T) {
	for _, v := range []variant{
		{"one Redis", 20 * time.Second, onOneRedis},
		{"Sentinel", 15 * time.Second, onSentinel},
		{"Cluster", 12 * time.Second, onCluster},
		{"SQLite", 8 * time.Second, onSQLite},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			length, seed := v.length, rand.Uint64()
			if d, err := time.ParseDuration(os.Getenv("SOAK")); err == nil {
				length = d
			}
			if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
				seed = n
			}
			c := v.begin(t)
			c.furnish()
			end := time.Now().Add(length)
			for left := length; left > 5*time.Second && !t.Failed(); left = time.Until(end) {
				t.Logf("SEED=%d", seed)
				c.round(seed, min(round, left))
				seed++
			}
		})
	}
}

// crew is several servers on one store, and those who ask them.
type crew struct {
	*place
	nodes []*berth
	// faults are what may be done to the store.
	faults []fault
	// doubts: what is refused may rest on what is not confirmed, and is lost later.
	doubts bool
	// program is another command than [binary].
	program string

	history *history.History
	log     []string // of faults
	seed    uint64
	persons []atomic.Pointer[person]
	names   atomic.Int64
	// enlisted are the users there are.
	enlisted int64
	token    atomic.Pointer[string] // of an operator
	kinds    tally
}

// berth is where a server runs: one after the other, behind the same address and
// with the same way to the store.
type berth struct {
	dir   string
	node  atomic.Pointer[node]
	front *redistest.Proxy // before it
	back  *redistest.Proxy // between it and its store, if that can be
}

// furnish makes the clients.
func (p *place) furnish() {
	p.fill(0)
	p.run(secret, "client", "add", "operator", "--grant", "client_credentials", "--scope", "jeton:admin", "--admin", "--secret-stdin")
}

// muster is three servers that do not run yet. redis is where their ways to it
// lead, empty for none.
func muster(p *place, redis string) *crew {
	c := &crew{place: p, persons: make([]atomic.Pointer[person], people)}
	for range 3 {
		b := &berth{dir: p.t.TempDir()}
		if redis != "" {
			b.back = redistest.Between(p.t, redis)
		}
		c.nodes = append(c.nodes, b)
	}
	return c
}

// launch starts a server at a berth: again, where its store is not there, as
// whatever watches over servers does.
func (c *crew) launch(b *berth) {
	n, said := c.tryLaunch(b)
	for end := time.Now().Add(time.Minute); n == nil; n, said = c.tryLaunch(b) {
		if time.Now().After(end) {
			c.t.Fatalf("the server did not start:\n%s", said)
		}
		time.Sleep(200 * time.Millisecond)
	}
	n.http.Timeout = 12 * time.Second
	_, at, _ := strings.Cut(n.url, "://")
	if b.front == nil {
		b.front = redistest.Between(c.t, at)
		b.front.Lose(4)
		b.front.Postpone(4)
	}
	b.front.Point(at)
	n.url = "http://" + b.front.Addr
	b.node.Store(n)
}

func (c *crew) tryLaunch(b *berth) (*node, string) {
	return c.tryStart(func(cmd *exec.Cmd) {
		if c.program != "" {
			cmd.Path = c.program
		}
		if b.back != nil {
			cmd.Env = append(cmd.Env, "JETON_STORE=redis://"+b.back.Addr)
		}
		cmd.Env = append(cmd.Env, "JETON_ADMIN_SOCKET="+filepath.Join(b.dir, "admin.sock")) // commands go to the store itself
	})
}

// round plays one history and looks at it.
func (c *crew) round(seed uint64, length time.Duration) {
	c.play(seed, length, func() bool { return false })
	last := &caller{crew: c, choices: rand.New(rand.NewPCG(seed, 98))}
	for i := range c.persons {
		last.farewell(c.persons[i].Load())
	}
	c.judge()
}

// play makes a history, until there is enough of it, and reports whether there
// was before its time.
func (c *crew) play(seed uint64, length time.Duration, enough func() bool) (early bool) {
	c.history, c.seed, c.log = history.Begin(), seed, nil
	c.enlist(length)
	for _, b := range c.nodes {
		if b.node.Load() == nil {
			c.launch(b)
		}
	}
	for i := range c.persons {
		c.persons[i].Store(c.newPerson())
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	defer func() { // also where trouble fails
		stop.Store(true)
		all.Wait()
	}()
	for i := range callers {
		one := &caller{crew: c, choices: rand.New(rand.NewPCG(seed, uint64(i)))}
		all.Go(func() {
			for !stop.Load() {
				one.turn()
			}
		})
	}
	early = c.trouble(rand.New(rand.NewPCG(seed, 99)), length, enough)
	for end := time.Now().Add(2*length + 5*time.Minute); !early && len(c.history.Operations()) < fewest && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return early
}

// judge looks at the history.
func (c *crew) judge() {
	ops := c.history.Operations()
	lost, late := int64(0), int64(0)
	for _, b := range c.nodes {
		for _, p := range []*redistest.Proxy{b.front, b.back} {
			if p != nil {
				lost, late = lost+p.Lost.Load(), late+p.Postponed.Load()
			}
		}
	}
	begun := time.Now()
	seen := ops
	if c.doubts {
		seen = history.Doubt(ops)
	}
	faults := history.Check(seen, patience)
	c.t.Logf("%d operations (%s); %d replies lost, %d requests late; looked at in %v", len(ops), c.kinds.of(ops), lost, late, time.Since(begun))
	for _, f := range faults {
		c.t.Errorf("SEED=%d: %s", c.seed, f)
	}
	if len(faults) > 0 {
		c.t.Logf("what was done meanwhile:\n%s", strings.Join(c.log, "\n"))
	}
	if len(ops) < fewest {
		c.t.Errorf("only %d operations: nothing was tried", len(ops))
	}
}

// tally counts what was asked, and says so.
type tally map[history.Kind][3]int

func (tally) of(ops []history.Operation) string {
	t := tally{}
	for _, op := range ops {
		n := t[op.Kind]
		switch {
		case !op.Known:
			n[2]++
		case op.OK:
			n[0]++
		default:
			n[1]++
		}
		t[op.Kind] = n
	}
	var said []string
	for _, k := range []history.Kind{history.Login, history.Refresh, history.Active, history.Revoke, history.RevokeAccess, history.RevokeAll, history.SetRoles, history.Disable, history.Enable} {
		said = append(said, fmt.Sprintf("%s %d/%d/%d", k, t[k][0], t[k][1], t[k][2]))
	}
	return strings.Join(said, ", ")
}

// enlist makes the users of a round.
func (c *crew) enlist(length time.Duration) {
	salt := []byte("sixteen of them.")
	key, err := pbkdf2.Key(sha256.New, password, salt, 1000, 32)
	if err != nil {
		c.t.Fatal(err)
	}
	in := base64.RawStdEncoding
	// The first login of each writes a new one.
	hash := "$pbkdf2-sha256$1000$" + in.EncodeToString(salt) + "$" + strings.ReplaceAll(in.EncodeToString(key), "+", ".")
	var lines strings.Builder
	c.enlisted = int64(len(c.persons) * min(60, int(length.Seconds()+3)))
	for i := range c.enlisted {
		fmt.Fprintf(&lines, `{"username":"%s","roles":["%s"],"password_hash":"%s"}`+"\n", c.name(i), roleNames[0], hash)
	}
	file := filepath.Join(c.t.TempDir(), "people.jsonl")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for tries := 0; ; tries++ { // the store may still be at odds with itself
		out, err := c.command("user", "import", file).CombinedOutput()
		if err == nil {
			break
		}
		if tries == 30 {
			c.t.Fatalf("%v\n%s", err, out)
		}
		time.Sleep(time.Second)
	}
	c.names.Store(0)
}

func (c *crew) name(i int64) string { return fmt.Sprintf("p%d-%d", c.seed, i) }
