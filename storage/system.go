package storage

import "time"

// System is the one record of what concerns everyone.
type System struct {
	// Epoch ends all sessions of the server, as [User.Epoch] those of a user.
	Epoch uint64 `json:"epoch,omitempty"`
	// Restored is there when the store was put back from a backup that does not
	// know all that happened after it.
	Restored *Restored `json:"restored,omitempty"`
}

// Restored is what follows for a while from putting back an old copy. The
// status lists that were open between the copy and that moment have places of
// tokens that it knows nothing of: nothing is said of them but that they are
// revoked.
type Restored struct {
	At time.Time `json:"at"`
	// All lists up to the number Through are over; those from the number From
	// on may have been opened after the copy was made. Until is when the last
	// token with a place in any of them has expired.
	From    uint32    `json:"from"`
	Through uint32    `json:"through"`
	Until   time.Time `json:"until"`
}

// Over reports whether a status list was open before the store was put back.
func (r *Restored) Over(list uint32) bool { return r != nil && list <= r.Through }

// Lost reports whether such a list may have tokens and no record.
func (r *Restored) Lost(list uint32, now time.Time) bool {
	return r.Over(list) && list >= r.From && now.Before(r.Until)
}
