package storage

import "time"

// Event is a fact that others may need to know. It is written by the commit
// that makes it true (an outbox) and delivered at least once.
type Event struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"sub,omitempty"`
	Session  string    `json:"sid,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	// Kept is the one session that goes on where others of the user ended.
	Kept string `json:"kept_sid,omitempty"`
	// Actor is who did it, Reason why, Source the address it came from.
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
	Note   string `json:"note,omitempty"`
	Source string `json:"source,omitempty"`
	// Occurred is when it happened and Report the id that it has, both as the
	// application says that told of it.
	Occurred time.Time `json:"occurred_at,omitzero"`
	Report   string    `json:"report,omitempty"`
}

// Delivery is an event that a webhook has to be told of. It is written by the
// commit that publishes the event, into the event's partition, and deleted when
// the receiver has taken it. One that is given up is a dead letter.
type Delivery struct {
	Webhook string `json:"webhook"`
	Event   Event  `json:"event"`
	// Since is when it was queued, Due when it is tried next, Attempts how
	// often it was tried since it was queued, Tried when it was last, Error what
	// came of that.
	Since    time.Time `json:"since"`
	Due      time.Time `json:"due"`
	Attempts int       `json:"attempts,omitempty"`
	Tried    time.Time `json:"tried,omitzero"`
	Error    string    `json:"error,omitempty"`
	// Dead is when it was given up, zero for one that is still tried.
	Dead time.Time `json:"dead,omitzero"`
}

// WebhookState is how a webhook fares, in [WebhookPartition].
type WebhookState struct {
	Name string `json:"name"`
	// Failing is since when nothing was taken, zero while all is well, Error
	// why.
	Failing time.Time `json:"failing,omitzero"`
	Error   string    `json:"error,omitempty"`
	// Dropped counts the dead letters that were removed to bound their number
	// and age.
	Dropped uint64 `json:"dropped,omitempty"`
}
