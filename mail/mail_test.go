package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/mail/mailtest"
)

// log is what was logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sender is one that runs, as the options of the mail server want it.
func sender(t *testing.T, to *mailtest.Server, change func(*Config)) (*Sender, *log) {
	t.Helper()
	out := new(log)
	c := Config{
		Host: to.Host, Port: to.Port, TLS: STARTTLS, CAs: to.CAs, From: "Example Löwe <login@example.com>", Hello: "login.example.com",
		Timeout: 10 * time.Second, Waits: []time.Duration{time.Millisecond, time.Millisecond}, Log: slog.New(slog.NewTextHandler(out, nil)),
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, out
}

// until waits for an outcome to have been counted n times.
func (s *Sender) until(t *testing.T, o Outcome, n uint64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if count, _ := s.Figures(); count[o] == n {
			return
		}
	}
	count, waiting := s.Figures()
	t.Fatalf("%s is not %d: %v, %d wait", o, n, count, waiting)
}

var hello = Message{To: "alice@example.com", Subject: "Setze dein Passwort zurück", Text: "Grüße\n\n.https://login.example.com/reset/" + strings.Repeat("Ab-_", 40) + "\n"}

func TestDelivery(t *testing.T) {
	for name, c := range map[string]struct {
		server mailtest.Options
		change func(*Config)
		secure bool
	}{
		"STARTTLS": {mailtest.Options{STARTTLS: true}, nil, true},
		"implicit": {mailtest.Options{Implicit: true}, func(c *Config) { c.TLS = Implicit }, true},
		"off":      {mailtest.Options{}, func(c *Config) { c.TLS = Off }, false},
		"PLAIN":    {mailtest.Options{STARTTLS: true, Mechanisms: "LOGIN PLAIN", User: "jeton", Password: "s e cret"}, withPassword, true},
		"LOGIN":    {mailtest.Options{STARTTLS: true, Mechanisms: "LOGIN XOAUTH2", User: "jeton", Password: "s e cret"}, withPassword, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := mailtest.Start(t, c.server)
			s, _ := sender(t, server, c.change)
			if !s.Queue(hello) {
				t.Fatal("not queued")
			}
			m := server.Next(t)
			if m.From != "login@example.com" || m.To != hello.To || m.Subject != hello.Subject || m.Text != hello.Text || m.Secure != c.secure || m.User != c.server.User {
				t.Errorf("%+v", m)
			}
			for name, want := range map[string]string{"From": "=?utf-8?q?Example_L=C3=B6we?= <login@example.com>", "To": "<alice@example.com>", "Auto-Submitted": "auto-generated", "Content-Type": "text/plain; charset=utf-8"} {
				if got := m.Header.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
			if _, err := m.Header.Date(); err != nil || !strings.HasSuffix(m.Header.Get("Message-ID"), "@example.com>") {
				t.Errorf("%v %v", err, m.Header)
			}
			s.until(t, Sent, 1)
		})
	}
}

func withPassword(c *Config) {
	c.User, c.Password = "jeton", func() (string, error) { return "s e cret", nil }
}

// What would send a mail or a password in clear text, or to somebody else,
// sends nothing.
func TestNothingIsSentThatWay(t *testing.T) {
	for name, c := range map[string]struct {
		server mailtest.Options
		change func(*Config)
		says   string
	}{
		"no STARTTLS":            {mailtest.Options{}, nil, "it offers no STARTTLS"},
		"a stranger's server":    {mailtest.Options{STARTTLS: true}, func(c *Config) { c.CAs = nil }, "certificate"},
		"another host":           {mailtest.Options{Implicit: true}, func(c *Config) { c.TLS, c.Host = Implicit, "localhost" }, "certificate"},
		"a wrong password":       {mailtest.Options{STARTTLS: true, Mechanisms: "PLAIN", User: "jeton", Password: "another"}, withPassword, "logging in to the mail server as jeton"},
		"a password unencrypted": {mailtest.Options{Mechanisms: "LOGIN", User: "jeton", Password: "s e cret"}, func(c *Config) { withPassword(c); c.TLS = Off }, "clear text"},
		"no password": {mailtest.Options{STARTTLS: true}, func(c *Config) {
			c.User, c.Password = "jeton", func() (string, error) { return "", errors.New("no such file") }
		}, "no such file"},
		"nobody there": {mailtest.Options{}, func(c *Config) { c.Port = 1 }, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			server := mailtest.Start(t, c.server)
			s, out := sender(t, server, c.change)
			s.Queue(hello)
			s.until(t, Failed, 1)
			server.None(t)
			if text := out.String(); !strings.Contains(text, c.says) || strings.Contains(text, "alice") || strings.Contains(text, "s e cret") {
				t.Error(text)
			}
			if count, waiting := s.Figures(); count[Retried] != 2 || waiting != 0 {
				t.Errorf("%v, %d wait", count, waiting)
			}
		})
	}
}

func TestRefusedAndTriedAgain(t *testing.T) {
	var asked atomic.Int32
	server := mailtest.Start(t, mailtest.Options{STARTTLS: true, Answer: func(command string) string {
		switch {
		case command != "RCPT":
			return ""
		case asked.Add(1) == 1:
			return "450 later"
		case asked.Load() == 3:
			return "550 nobody of that name"
		}
		return ""
	}})
	s, _ := sender(t, server, nil)
	s.Queue(hello)
	server.Next(t) // the second time
	s.until(t, Sent, 1)
	s.Queue(hello)
	s.until(t, Refused, 1)
	s.Queue(Message{To: "alice@example.com\r\nRCPT TO:<eve@example.com>", Text: "x"})
	s.Queue(Message{To: "alice@example.com", Subject: "x\r\nBcc: eve@example.com", Text: "x"})
	s.until(t, Refused, 2)
	if m := server.Next(t); len(m.Header["Bcc"]) != 0 || m.To != "alice@example.com" {
		t.Errorf("%+v", m)
	}
	server.None(t)
}

func TestQueueIsBounded(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	s, err := New(Config{Host: server.Host, Port: server.Port, TLS: Off, From: "login@example.com", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range mostQueued {
		if !s.Queue(hello) {
			t.Fatal("full too early")
		}
	}
	if s.Queue(hello) {
		t.Error("one more was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx)
	if count, waiting := s.Figures(); waiting != 0 || count[Dropped] < mostQueued/2 {
		t.Errorf("%v, %d wait", count, waiting)
	}
}

func TestSenderHasToBeOne(t *testing.T) {
	for _, from := range []string{"", "nobody", "a@b c", "x\r\nBcc: eve@example.com"} {
		if _, err := New(Config{From: from}); err == nil {
			t.Errorf("%q is a sender", from)
		}
	}
}

func TestPrinted(t *testing.T) {
	out := new(log)
	s, _ := sender(t, mailtest.Start(t, mailtest.Options{}), func(c *Config) { c.Print = out })
	s.Queue(hello)
	s.until(t, Sent, 1)
	if !strings.Contains(out.String(), hello.Text) || !strings.Contains(out.String(), hello.To) {
		t.Error(out.String())
	}
}
