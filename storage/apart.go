package storage

import "time"

// MostApart is how far the store's clock and a machine's may be apart before
// somebody should know: machines that follow a time server stay far below.
const MostApart = 5 * time.Second

// Ahead is how far the store's clock is ahead of this machine's, at least. The
// store told its time between two looks at the machine's, which is all that is
// known: a store that answers late is not a wrong clock.
func Ahead(store, before, after time.Time) time.Duration {
	switch {
	case store.After(after):
		return store.Sub(after)
	case store.Before(before):
		return store.Sub(before)
	}
	return 0
}
