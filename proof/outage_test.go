package proof_test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// outage is a server whose Redis is away, and who asks it all the while.
type outage struct {
	*alone
	n      *node
	logged *lockedBuffer
	tokens []string // of sessions that are refreshed without a pause
	still  answer   // of one that is not
	list   string   // a status list that is held
	etag   string
	bytes  string

	gone, back      atomic.Int64 // when, in nanoseconds
	refused, served atomic.Int64 // requests that need the store, while it was away; those that do not
	first           atomic.Int64 // the first answer after it came back
	known           atomic.Bool  // that it does not know whether the list has changed
	stop            atomic.Bool
	all             sync.WaitGroup
}

// TestRedisAwayUnderLoad takes Redis away under a server that is asked all the
// while. Key set and metadata are answered throughout, status lists as DESIGN
// says, all else with 503; then everything goes on by itself: no session has
// ended, and the server has not grown. AWAY is for how long.
func TestRedisAwayUnderLoad(t *testing.T) {
	t.Parallel()
	away := 10 * time.Second // longer than a server waits for one answer
	if d, err := time.ParseDuration(os.Getenv("AWAY")); err == nil {
		away = d
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		o := newOutage(t)
		o.during(away, func() { o.server.Signal(syscall.SIGSTOP) }, func() { o.server.Signal(syscall.SIGCONT) })
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		o := newOutage(t)
		o.during(away, o.server.Kill, o.server.Run)
	})
}

func newOutage(t *testing.T) *outage {
	o := &outage{alone: newAlone(t, "--appendonly", "yes", "--appendfsync", "always"), logged: new(lockedBuffer), tokens: make([]string, 24)}
	o.n = o.startWith(func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "--metrics-listen", "127.0.0.1:0", "--log-requests", "failed")
	}, o.logged)
	o.still = o.n.login("strict", "user0")
	for i := range o.tokens {
		o.tokens[i] = o.n.login("strict", "user0").Token
	}
	var claims struct {
		Status struct {
			List struct{ URI string } `json:"status_list"`
		}
	}
	if err := json.Unmarshal(payload(t, o.still.Access), &claims); err != nil {
		t.Fatal(err)
	}
	o.list = strings.TrimPrefix(claims.Status.List.URI, issuer)
	return o
}

// during takes the store away for so long.
func (o *outage) during(away time.Duration, take, give func()) {
	o.t.Helper()
	for i := range o.tokens {
		o.all.Go(func() { o.refreshes(i) })
	}
	for range 8 {
		o.all.Go(func() { o.introspects(o.still.Access) })
	}
	o.all.Go(o.asksPublic)
	time.Sleep(time.Second)
	o.fetch(nil) // from here on it is held
	before := o.memory()
	take()
	began := time.Now()
	o.gone.Store(began.UnixNano())
	o.all.Go(o.asksLists)
	most := before
	// A slow machine is longer about it.
	for time.Since(began) < away || !o.known.Load() && time.Since(began) < away+time.Minute {
		time.Sleep(200 * time.Millisecond)
		most = max(most, o.memory())
	}
	o.back.Store(time.Now().UnixNano())
	give()
	redistest.Until(o.t, "the server is ready again", func() bool { return o.n.ready() && o.first.Load() != 0 })
	o.stop.Store(true)
	o.all.Wait()
	after := o.memory()
	o.t.Logf("away for %v: %d requests refused, %d that need no store answered; the first that does %v after; resident %d MiB before, %d at most, %d after",
		away, o.refused.Load(), o.served.Load(), time.Duration(o.first.Load()-o.back.Load()).Round(time.Millisecond), before>>20, max(most, after)>>20, after>>20)
	if max(most, after) > before+96<<20 {
		o.t.Error("the server has grown")
	}
	if o.refused.Load() < 10 || o.served.Load() < 50 {
		o.t.Error("nobody asked")
	}
	o.same()
}

func (o *outage) memory() int64 { return int64(o.n.figure("process_resident_memory_bytes")) }

// away reports whether Redis was away all the while since a moment.
func (o *outage) away(since time.Time) bool {
	gone := o.gone.Load()
	return gone != 0 && since.UnixNano() > gone && o.back.Load() == 0
}

// judge looks at an answer that needs the store.
func (o *outage) judge(what string, began time.Time, a answer) {
	switch {
	case a.status == 503 && a.Error == "temporarily_unavailable":
		o.refused.Add(1)
	case o.away(began):
		o.t.Errorf("%s while the store is away: %+v", what, a)
	case a.status == 200:
		if back := o.back.Load(); back != 0 && began.UnixNano() > back {
			o.first.CompareAndSwap(0, time.Now().UnixNano())
		}
	default:
		o.t.Errorf("%s: %+v", what, a)
		o.stop.Store(true)
	}
}

// refreshes asks without regard to Retry-After, as bad clients do.
func (o *outage) refreshes(i int) {
	for !o.stop.Load() {
		began := time.Now()
		a := o.n.refresh("strict", o.tokens[i])
		o.judge("a refresh", began, a)
		o.tokens[i] = cmp.Or(a.Token, o.tokens[i])
		o.pause(a.status)
	}
}

func (o *outage) introspects(access string) {
	for !o.stop.Load() {
		began := time.Now()
		a := o.n.post("/introspect", "api", "token", access)
		o.judge("an introspection", began, a)
		if a.status == 200 && !a.Active {
			o.t.Error("an access token is said to be dead")
		}
		o.pause(a.status)
	}
}

func (o *outage) pause(status int) {
	if status != 200 {
		time.Sleep(10 * time.Millisecond)
	}
}

// asksPublic asks for what has to be there throughout.
func (o *outage) asksPublic() {
	for !o.stop.Load() {
		o.n.public()
		o.served.Add(3)
		time.Sleep(10 * time.Millisecond)
	}
}

// asksLists looks at the list that is held: a plain GET gets its last bytes, who
// asks whether it has changed gets 503 as soon as the server knows that it cannot
// know.
func (o *outage) asksLists() {
	known := false
	for !o.stop.Load() {
		began := time.Now()
		plain, body := o.fetch(nil)
		if plain.StatusCode != http.StatusOK {
			o.t.Errorf("the list that is held: %d", plain.StatusCode)
		}
		asked, _ := o.fetch(http.Header{"If-None-Match": {o.etag}})
		waited, _ := o.fetch(http.Header{"If-None-Match": {o.etag}, "Prefer": {"wait=2"}})
		if o.away(began) {
			if asked.StatusCode == http.StatusServiceUnavailable {
				known = true
				o.known.Store(true)
			}
			if known && (asked.StatusCode != 503 || waited.StatusCode != 503 || asked.Header.Get("Retry-After") == "") {
				o.t.Errorf("whether the list has changed, while that cannot be known: %d, waiting %d", asked.StatusCode, waited.StatusCode)
			}
			if known && o.bytes == "" {
				o.bytes = body
			}
			if known && body != o.bytes {
				o.t.Error("a list was signed while the store was away")
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !known {
		o.t.Error("the server never said that it does not know whether the list has changed")
	}
}

func (o *outage) fetch(header http.Header) (*http.Response, string) {
	r, err := http.NewRequest(http.MethodGet, o.n.url+o.list, nil)
	if err != nil {
		o.t.Error(err)
	}
	for name, value := range header {
		r.Header[name] = value
	}
	resp, err := o.n.http.Do(r)
	if err != nil {
		o.t.Error(err)
		return &http.Response{Header: http.Header{}}, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Error(err)
	}
	if resp.StatusCode == http.StatusOK {
		o.etag = resp.Header.Get("ETag")
	}
	return resp, string(body)
}

// same checks that every session has lived through it.
func (o *outage) same() {
	o.t.Helper()
	for i, token := range append(o.tokens, o.still.Token) {
		if a := o.n.patiently(func() answer { return o.n.refresh("strict", token) }); a.status != 200 {
			o.t.Errorf("session %d: %+v", i, a)
		}
	}
	for _, line := range o.logged.lines() {
		if strings.Contains(line, "msg=session_ended") || strings.Contains(line, "could not mark") {
			o.t.Error(line)
		}
	}
}
