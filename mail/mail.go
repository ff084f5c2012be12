// Package mail sends what the server has to tell its users by mail (SMTP, RFC
// 5321): a queue in memory, bounded in length and in tries, and a few
// connections at once. No request waits for a mail server, nor shows by how
// long it takes whether a mail was sent.
//
// What is said, and to whom, is decided above, in package accounts. A mail that
// was queued when the process ends is lost: people ask again.
package mail

import (
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"sync"
	"time"
)

// How a connection to the mail server is encrypted.
const (
	STARTTLS = "starttls" // it has to be, before anything is said (RFC 3207)
	Implicit = "implicit" // from the first byte (RFC 8314 §3)
	Off      = "off"      // not at all: a mail server on this machine
)

// Config says how mail is sent.
type Config struct {
	Host string
	Port int
	// TLS is one of the constants above.
	TLS string
	// User and Password log in to the mail server, where there is a User. The
	// password is asked for at each connection, so that it can change.
	User     string
	Password func() (string, error)
	// From is the sender, with or without a name.
	From string
	// CAs vouch for the mail server, nil for those of the system.
	CAs *x509.CertPool
	// Hello is what the server calls itself (RFC 5321 §4.1.1.1).
	Hello string
	// Print takes the mails instead of a mail server, for demonstrations.
	Print io.Writer
	// Timeout bounds one delivery: 30 s. Waits are the times between tries: 10 s,
	// 1 min, 5 min.
	Timeout time.Duration
	Waits   []time.Duration
	Log     *slog.Logger
}

// Message is a mail in plain text.
type Message struct{ To, Subject, Text string }

// The bounds of the queue, and of the connections.
const (
	mostQueued  = 1000
	mostAtOnce  = 4
	usualTime   = 30 * time.Second
	mostAddress = 254
)

// Sender has a queue of mails.
type Sender struct {
	cfg  Config
	from *mail.Address
	wake chan struct{}

	mu    sync.Mutex
	queue []queued
	busy  int
	count map[Outcome]uint64
}

// queued is a mail that waits for its first try, or the next.
type queued struct {
	Message
	tries int
	due   time.Time
}

// Outcome is what became of a mail.
type Outcome string

// The outcomes. A mail that was retried has one more.
const (
	Sent    Outcome = "sent"
	Retried Outcome = "retried"
	Refused Outcome = "refused" // by the mail server, for good
	Failed  Outcome = "failed"  // after the last try
	Dropped Outcome = "dropped" // the queue was full, or the process ended
)

// New checks what it is told; it does not connect.
func New(c Config) (*Sender, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail: %q is not a sender such as Example <login@example.com>", c.From)
	}
	if c.Timeout == 0 {
		c.Timeout = usualTime
	}
	if c.Waits == nil {
		c.Waits = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}
	}
	count := map[Outcome]uint64{}
	for _, o := range []Outcome{Sent, Retried, Refused, Failed, Dropped} {
		count[o] = 0
	}
	return &Sender{cfg: c, from: from, wake: make(chan struct{}, 1), count: count}, nil
}

// Queue takes a mail, unless too many wait.
func (s *Sender) Queue(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue)+s.busy >= mostQueued {
		s.count[Dropped]++
		return false
	}
	s.queue = append(s.queue, queued{Message: m, due: time.Now()})
	s.awake()
	return true
}

// awake has Run look again.
func (s *Sender) awake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Figures are for metrics: what became of mails, and how many wait.
func (s *Sender) Figures() (count map[Outcome]uint64, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count = make(map[Outcome]uint64, len(s.count))
	for o, n := range s.count {
		count[o] = n
	}
	return count, len(s.queue) + s.busy
}
