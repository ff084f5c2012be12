package throttle

import (
	"fmt"
	"testing"
	"time"
)

// with is an attempt by a secret.
func with(a Attempt, secret string) Attempt {
	a.Secret = secret
	return a
}

// told is what somebody is told whose secret is wrong.
func told(t *testing.T, th *Throttle, a Attempt) (e *Throttled, hashed bool) {
	t.Helper()
	k, err := th.Try(with(a, "wrong"))
	if hashed = err == nil; hashed {
		err = k.Failure()
	}
	if err == nil {
		return nil, hashed
	}
	return throttled(t, err), hashed
}

// While a rule that many share says wait, a wrong password for a known pair is
// answered as one for a name that nobody has, and hashed as often.
func TestT24_P2_ASiegeTellsNobodyWhoIsKnown(t *testing.T) {
	for name, siege := range map[string]func(t *testing.T, th *Throttle){
		"source": func(t *testing.T, th *Throttle) {
			failures(t, th, by("anyone", v4(8)), 5)
			for i := range 30 {
				fail(t, th, by(fmt.Sprint("user", i), v4(1)))
			}
		},
		"account": func(t *testing.T, th *Throttle) {
			for _, user := range []string{"alice", "nobody"} {
				for i := range 40 {
					fail(t, th, by(user, v4(100+i)))
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			th, c := alone(t)
			signIn(t, th, with(by("alice", v4(1)), "right"))
			siege(t, th)
			for i := range 40 {
				known, k := told(t, th, by("alice", v4(1)))
				stranger, s := told(t, th, by("nobody", v4(1)))
				if known == nil || stranger == nil || *known != *stranger || k != s || known.Rule != name {
					t.Fatalf("%d: %v (hashed: %t), of a stranger %v (%t)", i, known, k, stranger, s)
				}
				if name == "source" && k {
					t.Fatal("a wrong password was hashed where anybody can ask for any number")
				}
			}
			// Her own wrong ones hold her up, then the right one gets in.
			if k, err := th.Try(with(by("alice", v4(1)), "right")); err == nil {
				t.Errorf("after forty wrong ones at once: %v", k.Success())
			}
			c.advance(time.Second)
			if name == "source" {
				for i := range 30 {
					fail(t, th, by(fmt.Sprint("more", i), v4(1)))
				}
			}
			signIn(t, th, with(by("alice", v4(1)), "right"))
		})
	}
}

// What is tried while others besiege the address is bounded, and afterwards
// nothing tells who was known.
func TestN6_GuessesDuringASiege(t *testing.T) {
	th, c := alone(t)
	signIn(t, th, with(by("alice", v4(1)), "right"))
	looked := 0
	user := 0
	for range 24 * 60 * 6 {
		for user++; fail(t, th, by(fmt.Sprint("user", user), v4(1))); {
			user++ // until nobody's turn is left
		}
		if k, err := th.Try(with(by("alice", v4(1)), "right")); err == nil {
			if k.slow == nil {
				k.Cancel()
			} else {
				k.Failure()
				looked++
			}
		}
		c.advance(10 * time.Second)
	}
	if looked > 20+24 || looked < 20 {
		t.Errorf("%d guesses were looked at in a day of siege", looked)
	}
	c.advance(time.Minute)
	if got := failures(t, th, by("alice", v4(1)), 10); got != failures(t, th, by("nobody", v4(1)), 10) || got != 5 {
		t.Errorf("%d failures were free afterwards", got)
	}
}
