package status

import (
	"fmt"
	"time"

	"jeton/storage"
)

// IndexRecent holds what sets bits, by the time it was decided: the rows of
// [RevokedPut] and of [ClientPut]. Whoever keeps lists in memory reads its end
// and need not read the lists again.
const IndexRecent = "revoked"

// recentSpan is the time that one Sort of IndexRecent stands for, so that a
// moment can be asked for by prefix.
const recentSpan = 16 * time.Second

// Overlap is how much further back than the last look the next one has to
// begin, since a row is committed later than the time it bears. A commit that
// took even longer is found by reading the whole list.
const Overlap = 3 * recentSpan

func recent(t time.Time) string { return fmt.Sprintf("%010d", t.Unix()/int64(recentSpan/time.Second)) }

// RecentSince are the prefixes of IndexRecent that hold what was decided from
// since less [Overlap] to now, and a little beyond for clocks that run ahead.
func RecentSince(since, now time.Time) []string {
	var all []string
	for t := since.Add(-Overlap); !t.After(now.Add(recentSpan)); t = t.Add(recentSpan) {
		all = append(all, recent(t))
	}
	return append(all, recent(now.Add(2*recentSpan)))
}

// KindClientEnd is the kind of the rows of [ClientPut].
const KindClientEnd = "clientend"

// ClientPut is the row that says that a client's epoch passed, or that it was
// disabled, for the commit that does it: its blocks are to be looked at.
func ClientPut(clientID string, now time.Time) storage.Put {
	return storage.Put{
		Key:     storage.Key{Kind: KindClientEnd, ID: clientID},
		Value:   storage.Encode(clientID),
		Expires: now.Add(storage.Day),
		Index:   []storage.Entry{{Name: IndexRecent, Sort: recent(now)}},
	}
}
