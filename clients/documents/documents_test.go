package documents

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestWhoseDocumentsAreRead(t *testing.T) {
	for _, c := range []struct {
		words   []string
		in, out []string
	}{
		{nil, nil, []string{"app.example"}},
		{[]string{"*"}, []string{"app.example", "127.0.0.1", "::1"}, nil},
		{[]string{"app.example"}, []string{"app.example"}, []string{"x.app.example", "pp.example", "app.example.evil"}},
		{[]string{"*.app.example"}, []string{"x.app.example", "y.x.app.example"}, []string{"app.example", "xapp.example", "x.app.example.evil"}},
		{[]string{"*", "!bad.example", "!*.worse.example"}, []string{"x.bad.example", "worse.example"}, []string{"bad.example", "x.worse.example"}},
		{[]string{"!bad.example", "bad.example"}, nil, []string{"bad.example"}},
	} {
		for _, word := range c.words {
			if err := CheckHost(word); err != nil {
				t.Errorf("%s: %v", word, err)
			}
		}
		for _, host := range c.in {
			if !allowed(c.words, host) {
				t.Errorf("%v: %s is kept out", c.words, host)
			}
		}
		for _, host := range c.out {
			if allowed(c.words, host) {
				t.Errorf("%v: %s is let in", c.words, host)
			}
		}
	}
	for _, word := range []string{"", "!", "!*", "*.", "https://app.example", "app.example:443", "App.example", "app.example/x", "*.*.example", "a*.example", "app.example.", ".example", "app example", "!!x"} {
		if CheckHost(word) == nil {
			t.Errorf("%q is taken", word)
		}
	}
}

func TestC8_HowLongADocumentCounts(t *testing.T) {
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, time.Hour},
		{[]string{"Cache-Control", "max-age=7200"}, 2 * time.Hour},
		{[]string{"Cache-Control", `public, Max-Age="7200"`}, 2 * time.Hour},
		{[]string{"Cache-Control", "max-age=7200", "Age", "3600"}, time.Hour},
		{[]string{"Cache-Control", "max-age=7200", "Age", "99999"}, leastFresh},
		{[]string{"Cache-Control", "max-age=7200, no-cache"}, leastFresh},
		{[]string{"Cache-Control", "no-store"}, leastFresh},
		{[]string{"Cache-Control", "max-age=x"}, leastFresh},
		{[]string{"Cache-Control", "max-age=-1"}, leastFresh},
		{[]string{"Cache-Control", "max-age=2147483647"}, mostFresh},
		{[]string{"Cache-Control", "max-age=99999999999999999999"}, leastFresh},
		{[]string{"Expires", date.Add(3 * time.Hour).Format(http.TimeFormat)}, 3 * time.Hour},
		{[]string{"Expires", "0"}, leastFresh},
		{[]string{"Cache-Control", "max-age=600", "Expires", date.Add(3 * time.Hour).Format(http.TimeFormat)}, 10 * time.Minute},
	} {
		h := http.Header{"Date": {date.Format(http.TimeFormat)}}
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], c.headers[i+1])
		}
		if got := freshFor(h); got != c.want {
			t.Errorf("%v: %s, want %s", c.headers, got, c.want)
		}
	}
}

func TestC8_BoundsOfStrangers(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// many counts how many fetches are let through.
	many := func(a *allowance, tries int, source, host func(i int) string) (let int, rule string) {
		for i := range tries {
			if busy := a.take(now, source(i), host(i)); busy == nil {
				let++
			} else if rule = busy.Rule; busy.RetryAfter < time.Second || busy.RetryAfter > time.Minute {
				t.Errorf("wait %s", busy.RetryAfter)
			}
		}
		return let, rule
	}
	one := func(s string) func(int) string { return func(int) string { return s } }
	sources := func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }
	for _, c := range []struct {
		what         string
		source, host func(int) string
		let          int
		rule         string
	}{
		{"one source", one("192.0.2.1"), func(i int) string { return fmt.Sprintf("h%d.x%d.example", i, i) }, 10, "source"},
		{"one household", func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, func(i int) string { return fmt.Sprintf("h.x%d.example", i) }, 10, "source"},
		{"one host", sources, one("app.example"), 20, "host"},
		{"one site", sources, func(i int) string { return fmt.Sprintf("h%d.app.example", i) }, 60, "site"},
		{"everything", sources, func(i int) string { return fmt.Sprintf("h%d.x%d", i, i) }, 120, "server"},
		{"nobody knows from where", one(""), func(i int) string { return fmt.Sprintf("10.0.%d.1", i) }, 120, "server"},
	} {
		a := newAllowance()
		if let, rule := many(a, 300, c.source, c.host); let != c.let || rule != c.rule {
			t.Errorf("%s: %d let through, stopped by %s; want %d, %s", c.what, let, rule, c.let, c.rule)
		}
		was := now
		now = now.Add(6 * time.Second)
		if let, _ := many(a, 1, c.source, c.host); let != 1 {
			t.Errorf("%s: nothing later", c.what)
		}
		now = was
	}
	t.Run("memory", func(t *testing.T) {
		a := newAllowance()
		for i := range 200_000 {
			if i%100 == 0 {
				now = now.Add(time.Minute / 2)
			}
			a.take(now, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), fmt.Sprintf("h%d.x%d.example", i, i))
		}
		if n := len(a.buckets); n > mostBuckets+len(rules) {
			t.Errorf("%d buckets", n)
		}
	})
}
