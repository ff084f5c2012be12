package storage

import "time"

// Document is what is known of the document behind a client's id
// (draft-ietf-oauth-client-id-metadata-document). What it said stands in the
// client.
type Document struct {
	// Read is when it was last read, Fresh until when it need not be read again.
	Read  time.Time `json:"read"`
	Fresh time.Time `json:"fresh"`
	// Forget is when the record goes if nobody uses it until then, unless it is
	// disabled.
	Forget time.Time `json:"forget"`
}

// ClientPut is the row of a client. One that registered itself expires until
// somebody has used it; one that came by its document is forgotten some time
// after its last use, unless it is disabled: the record is what keeps it out.
func ClientPut(c Client) Put {
	put := Put{Key: ClientKey(c.ID), Value: Encode(c), Index: ClientIndex(c)}
	switch {
	case c.Registration != nil:
		put.Expires = c.Registration.UnusedUntil
	case c.Document != nil && !c.Disabled:
		put.Expires = c.Document.Forget
	}
	return put
}
