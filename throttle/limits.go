package throttle

import (
	"fmt"
	"time"

	"jeton/storage"
)

// Limit is one rule. Its zero value is the default of the place it stands in.
type Limit struct {
	// Most is the most failures on the count, which falls by one each Leak.
	Most int
	Leak time.Duration
	// Free is how many failures there may be before a wait: First, doubled
	// with each further failure, at most Longest. With First 0 there is no
	// wait but the one for the leak.
	Free           int
	First, Longest time.Duration
	// Parallel is how many attempts that have not been judged yet do not hold up
	// others: programs that sign in from many threads at once. It never lets
	// the count of a rule with First pass Most; elsewhere it may be overdrawn, and
	// has to leak before the next.
	Parallel int
}

// Limits are the rules, see the package comment for what they do together.
type Limits struct {
	// Pair is for one user from one source: 100, one an hour; 5 free, then 1 s
	// to 15 min; 16 in parallel.
	Pair Limit
	// Account is for one user from all sources not known: 100, one an hour; 10
	// free, then 1 s to 5 min; 16 in parallel.
	Account Limit
	// Source is for one address, or one IPv6 /64: 30, one in 2 s; 64 in
	// parallel.
	Source Limit
	// Network is for one IPv6 /48: 300, five a second; 64 in parallel.
	Network Limit
	// Client is for the secret of one client from one source: 100, one a
	// minute; 10 free, then 1 s to 1 min. There is no count over all sources: a
	// secret has 32 characters or more, and a client that was set up wrongly
	// on a hundred machines should work when it is put right.
	Client Limit
	// SignedIn is for one user who is signed in and guesses what belongs to nobody,
	// such as a user_code, from whatever sources: 20, one a minute.
	SignedIn Limit
	// Asking is for one address, one IPv6 /64 and one /48 that has the store keep
	// something without having shown a secret: 100, one a second. Each counts.
	Asking Limit
	// Registration is for clients that register themselves from one address, or
	// one IPv6 /48: 20, one in 3 min.
	Registration Limit
	// Besieged is for one user from one source while another rule than that of the
	// pair says wait: 20, one an hour; 3 free, then 1 s to 15 min.
	Besieged Limit
}

// kind is which rule a counter obeys. The numbers are in the store.
type kind uint8

const (
	ofPair kind = iota
	ofAccount
	ofSource
	ofNetwork
	ofClient
	ofSignedIn
	ofAsking
	ofRegistration
	ofBesieged
	rules
)

// RuleRegistration is the name of the rule for clients that register themselves.
const RuleRegistration = "registration"

// The rules as [Throttled] names them.
var ruleNames = [rules]string{"pair", "account", "source", "network", "client", "signed_in", "asking", RuleRegistration, "besieged"}

var defaults = Limits{
	Pair:    Limit{Most: 100, Leak: time.Hour, Free: 5, First: time.Second, Longest: 15 * time.Minute, Parallel: 16},
	Account: Limit{Most: 100, Leak: time.Hour, Free: 10, First: time.Second, Longest: 5 * time.Minute, Parallel: 16},
	Source:  Limit{Most: 30, Leak: 2 * time.Second, Parallel: 64},
	Network: Limit{Most: 300, Leak: 200 * time.Millisecond, Parallel: 64},
	Client:  Limit{Most: 100, Leak: time.Minute, Free: 10, First: time.Second, Longest: time.Minute},

	SignedIn: Limit{Most: 20, Leak: time.Minute},
	Asking:   Limit{Most: 100, Leak: time.Second},

	Registration: Limit{Most: 20, Leak: 3 * time.Minute},

	Besieged: Limit{Most: 20, Leak: time.Hour, Free: 3, First: time.Second, Longest: 15 * time.Minute},
}

// maxConsecutive is SP 800-63B-4 §3.2.2.
const maxConsecutive = 100

// longestMemory bounds how long a full count takes to leak.
const longestMemory = 400 * storage.Day

func (l *Limits) all() [rules]*Limit {
	return [rules]*Limit{&l.Pair, &l.Account, &l.Source, &l.Network, &l.Client, &l.SignedIn, &l.Asking, &l.Registration, &l.Besieged}
}

func (l Limits) withDefaults() Limits {
	from := defaults
	for i, limit := range l.all() {
		if *limit == (Limit{}) {
			*limit = *from.all()[i]
		}
	}
	return l
}

func (l Limits) faults() (faults []error) {
	for i, limit := range l.all() {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("throttle: the limit of a %s: %w", ruleNames[i], fmt.Errorf(format, args...)))
		}
		guarded := kind(i) == ofPair || kind(i) == ofAccount
		switch {
		case limit.Most < 1 || limit.Most > 10_000:
			fault("at most %d failures: take 1 to 10000", limit.Most)
		case guarded && limit.Most > maxConsecutive:
			fault("at most %d failures: SP 800-63B-4 allows %d", limit.Most, maxConsecutive)
		case guarded && limit.First == 0:
			fault("no wait between failures: take 1s")
		}
		if limit.Leak < time.Millisecond || limit.Leak > longestMemory/time.Duration(max(1, limit.Most)) {
			fault("one of %d failures forgotten in %s: take 1ms or more, and at most 400d for all", limit.Most, limit.Leak)
		}
		if limit.Free < 0 || limit.Parallel < 0 || limit.Parallel > 10_000 {
			fault("%d free and %d in parallel: take 0 or more, and at most 10000 in parallel", limit.Free, limit.Parallel)
		}
		if limit.First > 0 && limit.Free < 1 {
			fault("a wait before the first attempt: take 1 free failure or more")
		}
		if limit.First < 0 || limit.Longest < limit.First || limit.Longest > 24*time.Hour {
			fault("waits of %s to %s: take up to 1d, the longest not shorter than the first", limit.First, limit.Longest)
		}
	}
	return faults
}

// rule is a limit in ticks.
type rule struct {
	most, leak           int64
	free, first, longest int64
	parallel             int64
	// keep is the count from which the store hears of it. Below that there is
	// little to lose, and most names are mistyped once or twice.
	keep int64
}

func (l Limits) rules() (r [rules]rule) {
	for i, limit := range l.all() {
		r[i] = rule{
			most: int64(limit.Most), leak: limit.Leak.Milliseconds(),
			free: int64(limit.Free), first: limit.First.Milliseconds(), longest: limit.Longest.Milliseconds(),
			parallel: int64(limit.Parallel),
		}
		r[i].keep = max(1, r[i].most/3)
		if r[i].first > 0 {
			r[i].keep = min(r[i].keep, max(1, r[i].free/2))
		}
	}
	return r
}

// full is how long the fullest counter takes to leak.
func (r *rule) full() int64 { return (r.most + r.parallel) * r.leak }

// credible is the same for a counter from elsewhere, which may have been written
// by another clock: nobody waits longer for it than for one turn.
func (r *rule) credible() int64 {
	if r.first > 0 {
		return r.most * r.leak
	}
	return r.full()
}

// count is how many failures a counter holds.
func (r *rule) count(c *counter, now int64) int64 {
	if c.empty <= now {
		return 0
	}
	return (c.empty - now + r.leak - 1) / r.leak
}

// judged is the count without the attempts under way.
func (r *rule) judged(c *counter, now int64) int64 {
	return max(0, r.count(c, now)-int64(c.open))
}

// wait is how long until an attempt may be counted, 0 if it may now.
func (r *rule) wait(c *counter, now int64, b bias) int64 {
	n := r.count(c, now)
	level := n - min(int64(c.open), r.parallel)
	if n <= b.own {
		b.behind = 0 // nobody competes
	}
	until := now
	if r.first > 0 {
		if level >= r.free {
			until = c.last + (1+b.behind)*r.delay(level)
		}
		level = n
	}
	if end := max(0, r.most-1-b.behind); level > end {
		until = max(until, c.empty-(end+n-level)*r.leak)
	}
	return max(until, now) - now
}

// bias is how an attempt stands to others who want the turn of an account.
type bias struct {
	// own are the failures of its pair: for them alone the rule of the pair makes
	// it wait as long as it should.
	own int64
	// behind is how far it stands back.
	behind int64
}

func (r *rule) bias(pair *counter, now int64) bias {
	own := r.judged(pair, now)
	return bias{own, own + pair.impatience(now)}
}

// delay is the distance between attempts at a count.
func (r *rule) delay(n int64) int64 {
	return min(r.longest, r.first<<min(n-r.free, 32))
}

// Throttled says that an attempt has to wait. It is a 429 (RFC 6585 §4) with
// Retry-After, and says nothing about the secret or whether the user exists.
type Throttled struct {
	// RetryAfter is in whole seconds, at least one.
	RetryAfter time.Duration
	// Rule is which rule has the longest wait: pair, account, source, network,
	// client, signed_in, asking or registration. It is for metrics and log, not for the caller.
	Rule string
}

func (e *Throttled) Error() string {
	return fmt.Sprintf("throttle: too many failures (%s): try again in %s", e.Rule, e.RetryAfter)
}
