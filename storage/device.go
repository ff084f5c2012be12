package storage

import "time"

// DeviceRequest is what a device has asked for (RFC 8628 §3.1), until it
// expires. It is alone in [DevicePartition] of its ID, since nobody knows yet
// whose it will be. Once a user has allowed it, what it is worth stands beside
// that user: [DeviceApproval].
type DeviceRequest struct {
	// ID is the keyed hash of the user code, DeviceHash the hash of the secret in
	// the device code.
	ID         string   `json:"id"`
	DeviceHash string   `json:"device_hash"`
	ClientID   string   `json:"client_id"`
	Scope      string   `json:"scope,omitempty"`
	Resource   []string `json:"resource,omitempty"`
	// Device is where it came from.
	Device  Device    `json:"device"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"exp"`

	ClientEpoch uint64 `json:"client_epoch,omitempty"`
	SystemEpoch uint64 `json:"system_epoch,omitempty"`

	// Polled is when the device has last asked whether it is allowed, Interval how
	// long it has to wait before it asks again: all nodes go by them.
	Polled   time.Time `json:"polled,omitzero"`
	Interval Duration  `json:"interval"`

	// Denied is a no; a yes names the user and the approval. Neither is taken back.
	Denied   bool   `json:"denied,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Approval string `json:"approval,omitempty"`
}

// Answered reports whether a user has said yes or no.
func (r DeviceRequest) Answered() bool { return r.Denied || r.Approval != "" }

// DeviceApproval is a user's yes that has not become a session. It lives in
// [UserPartition] of Subject, in [IndexCodes] apart from all browsers, and the
// commit that makes a session of it deletes it.
type DeviceApproval struct {
	ID       string `json:"id"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`

	AuthTime  time.Time `json:"auth_time"`
	AMR       []string  `json:"amr,omitempty"`
	ACR       string    `json:"acr,omitempty"`
	UserEpoch uint64    `json:"user_epoch,omitempty"`
}

// DevicePartition holds one [DeviceRequest], and the events of what became of it.
func DevicePartition(id string) Partition { return Partition("d/" + id) }

// ApprovalPut is the row of an approval.
func ApprovalPut(a DeviceApproval, until time.Time) Put {
	return Put{
		Key: ApprovalKey(a.ID), Value: Encode(a), Expires: until,
		Index: []Entry{{IndexCodes, "device/" + a.ID}}, // no browser is called that
	}
}

// DeviceKey and ApprovalKey name the rows of those records.
func DeviceKey(id string) Key   { return Key{KindDevice, id} }
func ApprovalKey(id string) Key { return Key{KindApproval, id} }

// The kinds of those rows.
const (
	KindDevice   = "device"
	KindApproval = "approval"
)
