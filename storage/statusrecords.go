package storage

import "time"

// RevokedIndex is the row of one revoked access token: the place in a status
// list whose bit is set. It is written by the commit that ends the token, into
// the partition of its session or client, and expires with the token.
type RevokedIndex struct {
	TokenID string    `json:"jti"`
	List    uint32    `json:"list"`
	Index   uint32    `json:"idx"`
	Revoked time.Time `json:"revoked"`
	Expires time.Time `json:"exp"`
}

// StatusList is one list of status bits. Its tokens expire before Ends.
type StatusList struct {
	Number uint32    `json:"list"`
	Opened time.Time `json:"opened"`
	Ends   time.Time `json:"ends"`
	// Leased is a bitmap of the blocks that some node or client holds.
	Leased []byte `json:"leased"`
}

// StatusBlock is a block of indexes leased for the tokens of one client. Epoch is
// the sum of the client's and the system's at that time: as neither ever falls,
// the sum is the same only while both are. A token from a block of an older one
// is revoked, so ending a client ends tokens of which nothing is stored.
type StatusBlock struct {
	List  uint32 `json:"list"`
	Block uint32 `json:"block"`
	Epoch uint64 `json:"epoch"`
}
