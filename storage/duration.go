package storage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as people write lifetimes: 30m,
// 12h, 15d, 2w. It reads the forms of time.ParseDuration too.
type Duration time.Duration

// The units that time.ParseDuration lacks.
const (
	Day  = 24 * time.Hour
	Week = 7 * Day
)

// ParseDuration reads a lifetime such as "90m", "15d" or "1w12h". It is never
// negative.
func ParseDuration(s string) (Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write a number with a unit, such as 30s, 30m, 12h, 15d or 2w", s)
	const most = 100 * 365 * Day
	var total time.Duration
	rest := s
	for {
		i := strings.IndexAny(rest, "dw")
		if i < 0 {
			break
		}
		n, err := strconv.ParseUint(rest[:i], 10, 16)
		if err != nil {
			return 0, bad
		}
		unit := Day
		if rest[i] == 'w' {
			unit = Week
		}
		if total += time.Duration(n) * unit; n > uint64(most/unit) || total > most {
			return 0, bad
		}
		rest = rest[i+1:]
		if rest == "" {
			return Duration(total), nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > most-total {
		return 0, bad
	}
	return Duration(total + d), nil
}

// String writes the largest whole unit: 15d, 36h, 1m30s, 0s.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t > 0 && t%Week == 0:
		return fmt.Sprintf("%dw", t/Week)
	case t > 0 && t%Day == 0:
		return fmt.Sprintf("%dd", t/Day)
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes the duration as its String.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"30m\": %w", err)
	}
	v, err := ParseDuration(s)
	*d = v
	return err
}

// Set and Type make it a command-line flag.
func (d *Duration) Set(s string) error {
	v, err := ParseDuration(s)
	if err == nil {
		*d = v
	}
	return err
}

// Type names the flag's value in usage texts.
func (d *Duration) Type() string { return "duration" }
