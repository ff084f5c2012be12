package events

import (
	"context"
	"strings"
	"time"

	"jeton/storage"
)

// History keeps events for a while after they were published, so that people can
// look at what happened lately. The audit log is the record of it; this is what
// the pages show of that.
type History struct {
	Store *storage.Store
	// Kept is for how long, by the time of the event; 0 keeps nothing.
	Kept time.Duration
}

const (
	kindHistory  = "history"
	indexHistory = "history"
)

// indexClientHistory lists the events about one client.
func indexClientHistory(clientID string) string { return indexHistory + "/" + clientID }

// Follow makes the row of an event, for [Publisher.Follow]: it is written by the
// commit that takes the event out of the outbox, into the same partition.
func (h History) Follow(e storage.Event) []storage.Put {
	if h.Kept <= 0 {
		return nil
	}
	index := []storage.Entry{{Name: indexHistory, Sort: backwards(e.ID)}}
	if e.ClientID != "" {
		index = append(index, storage.Entry{Name: indexClientHistory(e.ClientID), Sort: backwards(e.ID)})
	}
	return []storage.Put{{Key: storage.Key{Kind: kindHistory, ID: e.ID}, Value: storage.Encode(e), Expires: e.Time.Add(h.Kept), Index: index}}
}

// digits are those of event ids, which sort by time.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

// backwards has the latest come first in an index, which is listed in ascending
// order: each digit of the id is turned around.
func backwards(id string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(digits, r); i >= 0 {
			return rune(digits[len(digits)-1-i])
		}
		return r
	}, id)
}

// About names the events to list: those about a user, about a client, or with
// neither all.
type About struct{ Subject, ClientID string }

// List returns events, the latest first, from the cursor after on, and the cursor
// of the following page, empty at the end.
func (h History) List(ctx context.Context, about About, after string, limit int) ([]storage.Event, string, error) {
	q := storage.Query{Index: indexHistory, After: after, Limit: limit}
	if about.ClientID != "" {
		q.Index = indexClientHistory(about.ClientID)
	}
	if about.Subject != "" {
		q.Partition = storage.UserPartition(about.Subject)
	}
	page, err := h.Store.List(ctx, q)
	if err != nil {
		return nil, "", err
	}
	list := make([]storage.Event, 0, len(page.Rows))
	for _, row := range page.Rows {
		rec, err := storage.Decode[storage.Event](row)
		if err != nil {
			return nil, "", err
		}
		list = append(list, rec.Value)
	}
	return list, page.Next, nil
}
