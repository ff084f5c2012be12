package documents

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long a document counts, whatever its headers say: short enough that a
// change is seen within a day, long enough that a client that forbids caching
// does not have its document fetched for every token.
const (
	leastFresh = 5 * time.Minute
	usualFresh = time.Hour
	mostFresh  = 24 * time.Hour
)

// freshFor is the freshness lifetime of an answer (RFC 9111 §4.2), within
// bounds. What is left of it counts: an Age that others have kept it for does
// not.
func freshFor(h http.Header) time.Duration {
	fresh := usualFresh
	age, said := maxAge(h.Values("Cache-Control"))
	switch date, errDate := http.ParseTime(h.Get("Date")); {
	case said:
		fresh = age
	case h.Get("Expires") != "":
		expires, err := http.ParseTime(h.Get("Expires"))
		if fresh = 0; err == nil && errDate == nil { // "0" is one that is over
			fresh = expires.Sub(date)
		}
	}
	if kept, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		fresh -= time.Duration(kept) * time.Second
	}
	return min(max(fresh, leastFresh), mostFresh)
}

// maxAge reads the directives of RFC 9111 §5.2.2.
func maxAge(lines []string) (age time.Duration, said bool) {
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0, true
			case "max-age":
				n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err != nil {
					n = 0
				}
				age, said = time.Duration(n)*time.Second, true
			}
		}
	}
	return age, said
}
