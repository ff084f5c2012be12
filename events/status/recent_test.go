package status

import (
	"testing"
	"time"
)

// A version once counted in units of 16 s in an index of another name. Whoever
// changes what Recent counts in changes the name with it.
func TestRecentAndItsIndexGoTogether(t *testing.T) {
	at := time.Date(2026, 11, 22, 18, 3, 7, 999, time.UTC)
	if got := IndexRecent + " " + Recent(at); got != "revoked-seconds 1795370587" {
		t.Errorf("%s: another measure needs another name, since versions that run side by side read one another's rows", got)
	}
}
