package status

import (
	"fmt"
	"time"

	"jeton/storage"
)

// IndexRecent holds what sets bits, by the time it was decided: the rows of
// [RevokedPut] and of [ClientPut]. Whoever keeps lists in memory reads its end
// and need not read the lists again. Its name says what [Recent] counts in:
// processes of two versions that count otherwise, on one store, would miss what
// the other one writes, so another measure takes another name. What an older
// version has written under its own name goes with its rows.
const IndexRecent = "revoked-seconds"

// A row is committed some time after the moment that it bears, by the clock of
// the master that has it. Overlap is how much further back than the last look a
// look has to begin now and then, so that none is missed; Near how much the looks
// between need: what was committed at once, as nearly all is, on masters whose
// clocks are as far apart as nobody is warned of. A commit that took longer than
// Overlap is found by reading the whole list.
const (
	Near    = storage.MostApart + atOnce
	Overlap = 48 * time.Second
	atOnce  = 2 * time.Second
)

// Recent is the Sort in IndexRecent of what was decided in that second: where a
// look from then on begins. It ends nowhere, since of several masters one's
// clock may run ahead.
func Recent(t time.Time) string { return fmt.Sprintf("%010d", t.Unix()) }

// KindClientEnd is the kind of the rows of [ClientPut].
const KindClientEnd = "clientend"

// ClientPut is the row that says that a client's epoch passed, or that it was
// disabled, for the commit that does it: its blocks are to be looked at.
func ClientPut(clientID string, now time.Time) storage.Put {
	return storage.Put{
		Key:     storage.Key{Kind: KindClientEnd, ID: clientID},
		Value:   storage.Encode(clientID),
		Expires: now.Add(storage.Day),
		Index:   []storage.Entry{{Name: IndexRecent, Sort: Recent(now)}},
	}
}
