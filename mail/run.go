package mail

import (
	"context"
	"errors"
	"net/textproto"
	"sync"
	"time"
)

// Run sends until ctx ends, and tells of what it leaves behind.
func (s *Sender) Run(ctx context.Context) {
	var sending sync.WaitGroup
	defer s.leave()
	defer sending.Wait()
	for ctx.Err() == nil {
		m, wait := s.next(time.Now())
		if m != nil {
			sending.Go(func() { s.deliver(ctx, *m) })
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes the mail that has waited the longest, if one is due and a connection
// is to be had; else it says when to look again.
func (s *Sender) next(now time.Time) (*queued, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.busy == mostAtOnce {
		return nil, time.Hour // somebody wakes us
	}
	first := 0
	for i, m := range s.queue {
		if m.due.Before(s.queue[first].due) {
			first = i
		}
	}
	m := s.queue[first]
	if m.due.After(now) {
		return nil, m.due.Sub(now)
	}
	s.queue = append(s.queue[:first], s.queue[first+1:]...)
	s.busy++
	return &m, 0
}

// deliver tries once, and has a mail that failed wait for the next try. Whom it
// was for is not logged: addresses are the users' own.
func (s *Sender) deliver(ctx context.Context, m queued) {
	err := s.send(ctx, m.Message)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.awake()
	s.busy--
	m.tries++
	refused := new(refusedError)
	switch {
	case err == nil:
		s.count[Sent]++
	case errors.As(err, &refused):
		s.count[Refused]++
		s.cfg.Log.Warn("a mail was refused for good by the mail server; look at the address of the user, and at whether the sender may send", "cause", err)
	case m.tries > len(s.cfg.Waits):
		s.count[Failed]++
		s.cfg.Log.Error("a mail was given up; its reader has to ask again once the mail server works", "tries", m.tries, "cause", err)
	default:
		s.count[Retried]++
		m.due = time.Now().Add(s.cfg.Waits[m.tries-1])
		s.queue = append(s.queue, m)
		s.cfg.Log.Warn("a mail was not sent; it is tried again", "tries", m.tries, "cause", err)
	}
}

// leave tells what is lost when the process ends.
func (s *Sender) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.queue); n > 0 {
		s.count[Dropped] += uint64(n)
		s.queue = nil
		s.cfg.Log.Warn("mails were not sent before the end; their readers have to ask again", "mails", n)
	}
}

// refusedError is a mail server's final no to a mail (RFC 5321 §4.2.1).
type refusedError struct{ cause error }

func (e *refusedError) Error() string { return e.cause.Error() }
func (e *refusedError) Unwrap() error { return e.cause }

// final tells a no for good from one for now.
func final(err error) error {
	if reply := new(textproto.Error); errors.As(err, &reply) && reply.Code >= 500 {
		return &refusedError{err}
	}
	return err
}
