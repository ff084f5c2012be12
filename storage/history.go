package storage

import (
	"net/netip"
	"time"
)

// History is what a user is shown of what has happened to the account, the
// latest last. It lives in [UserPartition], one row for each user.
type History struct {
	Entries []HistoryEntry `json:"entries"`
}

// HistoryEntry is an event, or several alike that came together.
type HistoryEntry struct {
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	ClientID string    `json:"client_id,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	// Network is the address cut as in [Device].
	Network string `json:"network,omitempty"`
	// Count is how many there were.
	Count int `json:"count"`
}

// HistoryKey names that row.
var HistoryKey = Key{KindHistory, "-"}

// KindHistory is its kind.
const KindHistory = "history"

// NetworkOf is the address cut to /24 or /48: enough to recognise one's own
// network, too little to tell the people in it apart.
func NetworkOf(a netip.Addr) string {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
