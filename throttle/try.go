package throttle

import (
	"net/netip"
	"strings"
	"time"
)

// Attempt is somebody who wants a secret looked at.
type Attempt struct {
	// User is the login name as it was given. Empty: the attempt is at the secret
	// of a client, or, without a ClientID, at something that belongs to
	// nobody yet, such as a user_code (RFC 8628 §5.1), for which the source alone
	// counts.
	User string
	// Secret is what is tried for User. What is kept of a right one is said at
	// [known].
	Secret string
	// Source is where the request came from. Those without an address are one
	// source together.
	Source netip.Addr
	// ClientID is the client_id as it was given. With a User it counts only
	// when TrustedClient is set.
	ClientID string
	// TrustedClient says that the client has authenticated, and that Source is
	// its own address rather than the user's.
	TrustedClient bool
	// Registers is an attempt to register a client: Source alone counts, by a rule
	// of its own.
	Registers bool
	// SignedIn is the `sub` of who is signed in, where there is neither User nor
	// ClientID: it counts beside the source.
	SignedIn string
	// Forgot says that User is what somebody typed who has forgotten the password.
	// By name and source, by source and by network it is counted as a guess is, and
	// apart from the guesses. What one user is sent, from all sources, is bounded
	// where it is sent.
	Forgot bool
	// Asks says that nothing is guessed, but something is kept for a stranger.
	// The source alone counts, apart from its guesses.
	Asks bool
}

// The most rules an attempt obeys.
const mostCharges = 4

// Ticket is an attempt that may go on. The first of its methods that is called
// decides; when none is, it stays counted as a failure. It belongs to one
// goroutine.
type Ticket struct {
	t       *Throttle
	at      int64
	charges [mostCharges]charge
	n       int
	pair    uint64
	owner   uint64
	place   uint32
	mark    uint64 // of the secret
	known   bool
	asked   bool // before its turn
	decided bool
	// slow is the answer to all but who is known and right.
	slow *Throttled
	// late attempts are counted when they fail and not before.
	late bool
}

type charge struct {
	key     uint64
	prev    int64 // counter.last before
	kind    kind
	counted bool
}

// Try decides whether an attempt may go on, and counts it. The error is always
// a [*Throttled]. It does no I/O.
//
// An attempt at a client's secret is counted when it fails, not before: there is
// no costly hash to be saved, secrets are too long to guess, and a client whose
// hundred threads start at once has done nothing wrong.
func (t *Throttle) Try(a Attempt) (*Ticket, error) {
	k := &Ticket{t: t}
	t.identify(k, a)
	k.pair = k.charges[0].key
	t.mu.Lock()
	defer t.mu.Unlock()
	k.at = t.now()
	k.known = k.owner != 0 && t.known.has(k.owner, k.place, t.today())
	if slow, by := t.check(k); slow != nil {
		return t.besieged(k, slow, by)
	}
	if !k.late {
		k.count(k.at)
	}
	return k, nil
}

// identify finds the counters that an attempt has to do with, the pair first.
func (t *Throttle) identify(k *Ticket, a Attempt) {
	add := func(of kind, key uint64) {
		k.charges[k.n] = charge{key: key, kind: of}
		k.n++
	}
	addr := a.Source.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	if a.Asks {
		add(ofAsking, t.hashes.addr(anAsker, addr, bits).self())
		if addr.Is6() {
			add(ofAsking, t.hashes.addr(askersNetwork, addr, 48).self())
		}
		return
	}
	if a.Forgot {
		source := t.hashes.addr(aForgetter, addr, bits)
		add(ofPair, t.hashes.name(aForgotten, plainName(strings.TrimSpace(a.User))).pair(source))
		add(ofSource, source.self())
		if addr.Is6() {
			add(ofNetwork, t.hashes.addr(forgettersNetwork, addr, 48).self())
		}
		return
	}
	source := t.hashes.addr(aSource, addr, bits)
	if a.User != "" && a.TrustedClient {
		// Where the backend passes on its visitors' addresses each is a pair of
		// its own; where it does not, all have the backend's. Either way no rule
		// holds up the source: it may be the backend itself.
		user, backend := t.hashes.name(aUser, plainName(a.User)), t.hashes.name(aBackend, a.ClientID)
		k.owner, k.place = user.owner(), backend.place()^source.place()
		add(ofPair, user.pair(backend)^source.pair(digest{}))
		add(ofAccount, user.self())
		k.mark = t.marks.secret(k.owner, k.place, a.Secret)
		return
	}
	switch {
	case a.Registers:
		if addr.Is6() {
			bits = 48
		}
		add(ofRegistration, t.hashes.addr(aRegistration, addr, bits).self())
		return
	case a.User != "":
		user := t.hashes.name(aUser, plainName(a.User))
		k.owner, k.place = user.owner(), source.place()
		add(ofPair, user.pair(source))
		add(ofAccount, user.self())
		k.mark = t.marks.secret(k.owner, k.place, a.Secret)
	case a.ClientID != "":
		client := t.hashes.name(aClient, a.ClientID)
		k.owner, k.place, k.late = client.owner(), source.place(), true
		add(ofClient, client.pair(source))
	case a.SignedIn != "":
		add(ofSignedIn, t.hashes.name(aSubject, a.SignedIn).self())
	}
	add(ofSource, source.self())
	if addr.Is6() {
		add(ofNetwork, t.hashes.addr(aNetwork, addr, 48).self())
	}
}

// check asks all rules before any counts, of everybody alike. by has a bit for
// each kind that says wait.
func (t *Throttle) check(k *Ticket) (slow *Throttled, by uint) {
	var wait int64
	var longest kind
	var stands bias
	for i := range k.n {
		ch := &k.charges[i]
		c := t.counts.find(ch.key)
		if c == nil {
			continue
		}
		r, b := &t.rules[ch.kind], bias{}
		switch ch.kind {
		case ofPair:
			stands = r.bias(c, k.at)
		case ofAccount:
			b = stands
		}
		w := r.wait(c, k.at, b)
		if w > 0 && ch.kind == ofAccount {
			t.counts.ask(k.charges[0].key, k.at)
			k.asked = true
		}
		if w > 0 {
			by |= 1 << ch.kind
		}
		if w > wait {
			wait, longest = w, ch.kind
		}
	}
	if wait == 0 {
		return nil, 0
	}
	after := (time.Duration(wait)*time.Millisecond + time.Second - 1).Truncate(time.Second)
	return &Throttled{RetryAfter: after, Rule: ruleNames[longest]}, by
}

// count charges all counters. A known pair is no business of the account.
func (k *Ticket) count(now int64) {
	t := k.t
	for i := range k.n {
		ch := &k.charges[i]
		if ch.kind == ofAccount && k.known {
			continue
		}
		c := t.counts.claim(ch.key, ch.kind, now)
		ch.prev = c.last
		ch.counted = t.counts.charge(c, now)
	}
}

// decide runs f once, under the lock.
func (k *Ticket) decide(f func(t *Throttle)) {
	if k.decided {
		return
	}
	k.decided = true
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	f(k.t)
}

// Success says that the secret was right: the attempt is taken back, the pair
// starts again at none, and is known from now on. Where it is an error, a
// [*Throttled], the attempt has failed all the same: it was not its turn.
func (k *Ticket) Success() error {
	if k.slow != nil && !k.known {
		return k.Failure()
	}
	k.decide(func(t *Throttle) {
		k.refund()
		if k.owner == 0 {
			return // there is no pair
		}
		now := t.now()
		t.known.mark(k.owner, k.place, t.today(), k.mark)
		if c := t.counts.find(besiegedKey(k.pair)); c != nil {
			t.counts.clear(c, now)
		}
		pair := t.counts.find(k.pair)
		if pair == nil {
			return
		}
		if k.asked && pair.asks > 0 {
			pair.asks-- // nobody is to see by it that somebody signed in
		}
		own := t.rules[pair.kind].judged(pair, now)
		if own == 0 {
			return
		}
		t.counts.clear(pair, now)
		if account := t.counts.find(k.charges[1].key); account != nil && k.charges[1].kind == ofAccount && !k.known {
			t.counts.forgive(account, own)
		}
	})
	return nil
}

// Failure says that the secret was wrong, or that the caller is told so. Its
// error, a [*Throttled], is what to answer in place of that.
func (k *Ticket) Failure() error {
	k.decide(func(t *Throttle) {
		if k.late {
			k.count(t.now())
		}
		k.judge()
	})
	if k.slow != nil {
		return k.slow
	}
	return nil
}

// judge makes failures of what was counted.
func (k *Ticket) judge() {
	for i := range k.n {
		if c := k.t.counts.find(k.charges[i].key); c != nil && k.charges[i].counted && c.open > 0 {
			c.open--
		}
	}
}

// Cancel says that nothing was learnt about the secret: the store was away, or
// the hash had no turn. Deferred, it does nothing after one of the others.
func (k *Ticket) Cancel() {
	k.decide(func(*Throttle) { k.refund() })
}

func (k *Ticket) refund() {
	for i := range k.n {
		ch := &k.charges[i]
		if c := k.t.counts.find(ch.key); c != nil && ch.counted {
			k.t.counts.refund(c, k.at, ch.prev)
		}
	}
}

// Knows reports whether a user has signed in from that source, not by way of a
// backend, so that the pair is known.
func (t *Throttle) Knows(user string, source netip.Addr) bool {
	var k Ticket
	t.identify(&k, Attempt{User: user, Source: source})
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.has(k.owner, k.place, t.today())
}

// today is the day of the store's time.
func (t *Throttle) today() uint32 { return uint32((t.now() + t.offset) / msPerDay) }
