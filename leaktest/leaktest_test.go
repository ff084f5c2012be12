package leaktest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	aToken  = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJ1LWFsaWNlIiwic2NvcGUiOiJyZWFkIHdyaXRlIn0.MEUCIQDk2v0Zq1XwqL0m0aYb3dM8Zk9J1w"
	another = "correct horse battery"
)

func TestSecretsAreFound(t *testing.T) {
	for what, c := range map[string]struct {
		line string
		want int
	}{
		"nothing":                 {`msg=request client_id=app`, 0},
		"the token":               {`msg=request token=` + aToken, 1},
		"its signature":           {`cause="bad signature MEUCIQDk2v0Zq1XwqL0m0aYb3dM8Zk9J1w"`, 1},
		"a piece out of it":       {`cause="...cIQDk2v0Zq1XwqL0m0aYb3dM8..."`, 1},
		"the payload's beginning": {`eyJzdWIiOiJ1LWFsaWNl`, 1},
		"the header alone":        {`eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ`, 0},
		"a password":              {`password=` + another, 1},
		"at the very end":         {strings.Repeat("x", 100) + another, 1},
		"two lines":               {"a " + another + "\nb " + another, 2},
		"a short one":             {`client_secret=wrong`, 0},
		"a dull one":              {strings.Repeat("ab", 50), 0},
	} {
		for _, before := range []bool{true, false} {
			var w Watch
			tell := func() {
				w.Secret("token", aToken)
				w.Secret("password", another)
				w.Secret("short", "wrong")
				w.Secret("dull", strings.Repeat("ab", 50))
			}
			if before {
				tell()
			}
			var b bytes.Buffer
			fmt.Fprint(w.Writer("log", &b), c.line)
			if !before {
				tell()
			}
			leaks, err := w.Leaks()
			if err != nil || len(leaks) != c.want || b.String() != c.line {
				t.Errorf("%s: %d leaks, want %d: %v, %v", what, len(leaks), c.want, leaks, err)
			}
		}
	}
}

// The rolling hash agrees with looking at each place.
func TestSearchAgreesWithLooking(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		letters := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = "abcdefgh"[r.IntN(8)]
			}
			return string(b)
		}
		var w Watch
		secret := letters(block)
		w.Secret("secret", secret)
		text := letters(r.IntN(200))
		if seed%2 == 0 {
			text += secret + letters(r.IntN(30))
		}
		w.Wrote("log", []byte(text))
		leaks, err := w.Leaks()
		if want := various(secret) && strings.Contains(text, secret); err != nil || (len(leaks) > 0) != want {
			t.Fatalf("seed %d: %v, %v, want %v", seed, leaks, err, want)
		}
	}
}

type tests int

func (c tests) Run() int { return int(c) }

func TestRunFails(t *testing.T) {
	var w Watch
	w.Secret("password", another)
	if code := Run(tests(0), &w); code != 0 {
		t.Errorf("nothing was written: %d", code)
	}
	if code := Run(tests(3), &w); code != 3 {
		t.Errorf("the tests' own code: %d", code)
	}
	w.Wrote("log", []byte("it was "+another))
	if code := Run(tests(0), &w); code != 1 {
		t.Errorf("a secret was written: %d", code)
	}
}
