package webhooks

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// What a receiver answers decides whether an event has arrived, is tried again,
// or is a dead letter.
func TestS14_Answers(t *testing.T) {
	big := strings.Repeat("x", 10<<20)
	for name, tt := range map[string]struct {
		answer        http.HandlerFunc
		outcome       Outcome
		pending, dead int
		words         string
	}{
		"202":                       {status(202), Taken, 0, 0, ""},
		"202 with a huge body":      {says(202, big), Taken, 0, 0, ""},
		"400 invalid_request":       {says(400, `{"err":"invalid_request","description":"no such \u001b[31mevent"}`), Rejected, 0, 1, "invalid_request: no such  [31mevent"},
		"400 invalid_issuer":        {says(400, `{"err":"invalid_issuer"}`), Rejected, 0, 1, "invalid_issuer"},
		"400 invalid_audience":      {says(400, `{"err":"invalid_audience"}`), Rejected, 0, 1, "invalid_audience"},
		"400 of its own":            {says(400, `{"err":"full_moon"}`), Rejected, 0, 1, "full_moon"},
		"400 without a code":        {says(400, `<html>`), Rejected, 0, 1, "status 400 without a code"},
		"400 with a huge body":      {says(400, `{"err":"`+big+`"}`), Rejected, 0, 1, "status 400 without a code"},
		"400 invalid_key":           {says(400, `{"err":"invalid_key"}`), Denied, 1, 0, "invalid_key"},
		"400 authentication_failed": {says(400, `{"err":"authentication_failed"}`), Denied, 1, 0, "authentication_failed"},
		"400 access_denied":         {says(400, `{"err":"access_denied"}`), Denied, 1, 0, "access_denied"},
		"401":                       {status(401), Denied, 1, 0, "status 401"},
		"403":                       {status(403), Denied, 1, 0, "status 403"},
		"429":                       {status(429), Throttled, 1, 0, "status 429"},
		"404":                       {status(404), Answered, 1, 0, "status 404"},
		"500":                       {says(500, big), Answered, 1, 0, "status 500"},
		"200":                       {status(200), Answered, 1, 0, "status 200 where 202 says that it was taken"},
		"no answer":                 {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, 1, 0, "EOF"},
		"nothing in time":           {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Unreachable, 1, 0, "no answer within"},
		"a refusal that never ends": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"err":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Rejected, 0, 1, "status 400 without a code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			to := w.receive(tt.answer)
			d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
			if name == "nothing in time" || name == "a refusal that never ends" {
				d.receivers[0].client.Timeout = 3 * time.Second // in which a busy machine gets as far as the answer
			}
			id := w.emit(d, 1)[0]
			w.turn(d)
			w.want(d, tt.pending, tt.dead)
			if n := d.Figures()[0].Deliveries[tt.outcome]; n != 1 || to.called() != 1 || to.ids[0] != id {
				t.Errorf("outcomes %v, %d calls", d.Figures()[0].Deliveries, to.called())
			}
			if said := w.letterWords(d); tt.words != "" && !strings.Contains(said, tt.words) {
				t.Errorf("the reason is %q, want %q", said, tt.words)
			}
		})
	}
}

// letterWords is what the only row says went wrong.
func (w *world) letterWords(d *Dispatcher) string {
	w.t.Helper()
	for _, index := range []string{"pending/", "dead/"} {
		said := ""
		_, err := d.walk(w.t.Context(), index+d.Hooks[0].Name, func(_ changes, _ time.Time, i item) { said = i.Error })
		must(w.t, err)
		if said != "" {
			return said
		}
	}
	return ""
}

func TestS14_RetryAfterIsKept(t *testing.T) {
	w := newWorld(t)
	to := w.receive(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "600")
		rw.WriteHeader(http.StatusServiceUnavailable)
	})
	d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
	w.emit(d, 1)
	w.turn(d)
	c := &crew{busy: map[*receiver]bool{}}
	w.clock.advance(599 * time.Second)
	if ready, _, err := d.ready(t.Context(), c); err != nil || len(ready) != 0 {
		t.Errorf("it is called again before the time that it asked for (%v)", err)
	}
	w.clock.advance(2 * time.Second)
	if ready, _, err := d.ready(t.Context(), c); err != nil || len(ready) != 1 {
		t.Errorf("it is not called again (%v)", err)
	}
	to.set(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "999999999")
		rw.WriteHeader(http.StatusTooManyRequests)
	})
	w.turn(d)
	w.clock.advance(maxAsked + time.Second)
	if ready, _, err := d.ready(t.Context(), c); err != nil || len(ready) != 1 {
		t.Errorf("a receiver can put an event off for ever (%v)", err)
	}
}

// The token is read at each call, sent, and nowhere written down, even when the
// receiver says it back.
func TestS14_BearerToken(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("first-secret\n"), 0o600))
	to := w.receive(func(rw http.ResponseWriter, r *http.Request) {
		says(400, `{"err":"authentication_failed","description":"who is `+r.Header.Get("Authorization")+`?"}`)(rw, r)
	})
	hook := to.hook("siem")
	hook.BearerFile = file
	d := w.dispatcher([]Webhook{hook}, to.Certificate())
	w.emit(d, 1)
	for range failsFrom {
		w.turn(d)
		w.clock.advance(time.Hour)
	}
	if said := w.letterWords(d); strings.Contains(said, "secret") || !strings.Contains(said, "who is Bearer (hidden)?") {
		t.Errorf("the store says %q", said)
	}
	if w.logged("takes no events") != 1 || w.logged("secret") != 0 {
		t.Errorf("the log: %s", w.log)
	}
	must(t, os.WriteFile(file, []byte("second-secret"), 0o600))
	to.set(nil)
	w.turn(d)
	if got := to.auth; got[0] != "Bearer first-secret" || got[len(got)-1] != "Bearer second-secret" {
		t.Errorf("%q was sent", got)
	}
	w.want(d, 0, 0)
	must(t, os.Remove(file))
	before := to.called()
	w.emit(d, 1)
	w.turn(d)
	if w.want(d, 1, 0); to.called() != before {
		t.Error("it is called without the token that it wants")
	}
}

// fakeDNS answers every question with one address.
func fakeDNS(t *testing.T, address [4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: address}}}
			}
			if out, err := m.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

// Nothing that a receiver or its name server says makes the server call its own
// neighbours.
func TestS15_NoNeighbourIsCalled(t *testing.T) {
	reached := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	must(t, err)
	t.Run("private address", func(t *testing.T) {
		w := newWorld(t)
		for _, to := range []string{inside.URL, "https://127.0.0.1:" + port, "https://[::1]:" + port, "https://localhost:" + port, "https://169.254.169.254/latest"} {
			d := NewDispatcher(Config{Queues: Queues{Store: w.store, Hooks: []Webhook{{Name: "siem", URL: to}}}, Keys: w.ring, Issuer: issuer, Log: w.dispatcher(nil).Log})
			w.emit(d, 1)
			w.turn(d)
			if said := w.letterWords(d); !strings.Contains(said, "not a public address") {
				t.Errorf("%s: %q", to, said)
			}
			w.clock.advance(givenUp)
			w.turn(d)
			_, err := d.Drop(t.Context(), "siem", "")
			must(t, err)
		}
	})
	t.Run("a name that leads inside", func(t *testing.T) {
		w := newWorld(t)
		d := NewDispatcher(Config{
			Queues: Queues{Store: w.store, Hooks: []Webhook{{Name: "siem", URL: "https://siem.example:" + port + "/in"}}},
			Keys:   w.ring, Issuer: issuer, Log: w.dispatcher(nil).Log, Resolver: fakeDNS(t, [4]byte{127, 0, 0, 1}),
		})
		w.emit(d, 1)
		w.turn(d)
		if said := w.letterWords(d); !strings.Contains(said, "not a public address") || !strings.Contains(said, "127.0.0.1") {
			t.Errorf("%q", said)
		}
	})
	t.Run("http to a name that leads outside", func(t *testing.T) {
		w := newWorld(t)
		d := NewDispatcher(Config{
			Queues: Queues{Store: w.store, Hooks: []Webhook{{Name: "siem", URL: "http://siem.example:" + port + "/in"}}},
			Keys:   w.ring, Issuer: issuer, Allow: loopback, Log: w.dispatcher(nil).Log, Resolver: fakeDNS(t, [4]byte{93, 184, 216, 34}),
		})
		w.emit(d, 1)
		w.turn(d)
		if said := w.letterWords(d); !strings.Contains(said, "not a public address") {
			t.Errorf("%q", said)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		w := newWorld(t)
		for _, at := range []string{inside.URL, "http://169.254.169.254/latest/meta-data/"} {
			to := w.receive(func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, at, http.StatusTemporaryRedirect) })
			d := w.dispatcher([]Webhook{to.hook("siem")}, to.Certificate())
			w.emit(d, 1)
			w.turn(d)
			if said := w.letterWords(d); !strings.Contains(said, "redirects are not followed") {
				t.Errorf("%q", said)
			}
		}
	})
	t.Run("an unknown certificate", func(t *testing.T) {
		w := newWorld(t)
		to := w.receive(nil)
		to.Config.ErrorLog = log.New(io.Discard, "", 0)
		d := w.dispatcher([]Webhook{to.hook("siem")})
		w.emit(d, 1)
		w.turn(d)
		if said := w.letterWords(d); !strings.Contains(said, "certificate") || to.called() != 0 {
			t.Errorf("%q, %d calls", said, to.called())
		}
	})
	if reached != 0 {
		t.Errorf("%d calls reached a neighbour", reached)
	}
}

func TestS15_DescriptionsAreChecked(t *testing.T) {
	good := Webhook{Name: "siem", URL: "https://siem.example/in?k=v", Events: []string{"session_ended"}}
	must(t, good.Check(nil))
	for want, change := range map[string]func(*Webhook){
		"the name":                    func(w *Webhook) { w.Name = "Si em" },
		"no address":                  func(w *Webhook) { w.URL = "siem.example" },
		"user name":                   func(w *Webhook) { w.URL = "https://u:p@siem.example" },
		"fragment":                    func(w *Webhook) { w.URL = "https://siem.example/#x" },
		"not https":                   func(w *Webhook) { w.URL = "http://siem.example" },
		"not a public address":        func(w *Webhook) { w.URL = "https://10.0.0.1/in" },
		"longer than 2048":            func(w *Webhook) { w.URL += strings.Repeat("x", 2048) },
		`no event "session_end"`:      func(w *Webhook) { w.Events = []string{"session_end"} },
		"bearer token cannot be read": func(w *Webhook) { w.BearerFile = "/nowhere" },
		"longer than 1024":            func(w *Webhook) { w.Audience = strings.Repeat("x", 1025) },
	} {
		w := good
		if change(&w); w.Check(nil) == nil || !strings.Contains(w.Check(nil).Error(), want) {
			t.Errorf("%s: %v", want, w.Check(nil))
		}
	}
	private := Webhook{Name: "siem", URL: "http://127.0.0.1:80/"}
	must(t, private.Check(loopback))
	private.URL = "http://8.8.8.8/"
	if err := private.Check(loopback); err == nil || !strings.Contains(err.Error(), "over http") {
		t.Errorf("%v", err)
	}
	if shown := good.shown(); shown != "https://siem.example/in" {
		t.Errorf("the query is shown: %s", shown)
	}
}
