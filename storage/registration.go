package storage

import "time"

// Registration is how a client came to be that registered itself, and who may
// change it (RFC 7591, RFC 7592).
type Registration struct {
	At time.Time `json:"at"`
	// InitialToken is the name of the initial access token that let it in, empty
	// for one that nobody vouched for.
	InitialToken string `json:"initial_token,omitempty"`
	// Source is the address it came from.
	Source string `json:"source,omitempty"`
	// AccessHash is the SHA-256 of its registration access token, in hex.
	AccessHash string `json:"access_hash"`
	// Grants and Scopes are the most that it may ever be, where the initial access
	// token said so; the settings of the server hold beside.
	Grants []string `json:"grant_types,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
	// UnusedUntil is when the client is gone unless a user has agreed to it before;
	// zero once one has, and for those that somebody vouched for.
	UnusedUntil time.Time `json:"unused_until,omitzero"`
	// TakenOver says that an operator has changed the client. From then on it can
	// no longer change or end itself.
	TakenOver bool `json:"taken_over,omitempty"`
}

// Unused reports whether the client expires by itself.
func (c Client) Unused() bool { return c.Registration != nil && !c.Registration.UnusedUntil.IsZero() }

// InitialToken lets clients register themselves (RFC 7591 §3). It lives in
// [RegistrationPartition].
type InitialToken struct {
	// Name is what operators know it by; it is a part of the token.
	Name string `json:"name"`
	// Hash is the SHA-256 of the token, in hex.
	Hash string `json:"hash"`
	// Uses is how many clients it may register, 0 for any number; Used is how many
	// it has.
	Uses int `json:"uses,omitempty"`
	Used int `json:"used,omitempty"`
	// Grants are what its clients may use, Scopes what they may ask for: empty for
	// all that registered clients may.
	Grants  []string  `json:"grant_types,omitempty"`
	Scopes  []string  `json:"scopes,omitempty"`
	Created time.Time `json:"created"`
	By      string    `json:"by,omitempty"`
	Expires time.Time `json:"expires"`
}

// InitialTokenKey and UnusedKey name rows of [RegistrationPartition].
func InitialTokenKey(name string) Key { return Key{KindInitialToken, name} }
func UnusedKey(clientID string) Key   { return Key{KindUnused, clientID} }

// UnusedGate is changed by each client that takes a place, so that of two that
// count the places at once one counts again.
var UnusedGate = Key{"gate", "unused"}
