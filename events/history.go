package events

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"jeton/storage"
)

// mostRemembered is how many entries a user's history has: as many as somebody
// reads.
const mostRemembered = 50

// together is how close events that are alike have to be to make one entry: all
// sessions that end at once would push out everything else.
const together = time.Minute

// remembered are the types that users are shown.
var remembered = []string{
	SessionStarted, SessionEnded, SessionsEnded, BindingMismatch, SignedIn, SignedOut, ConsentGranted, ConsentRevoked,
	PasswordChanged, PasswordReset, ResetLinkMade, UserCreated, UserDisabled, UserEnabled, RolesChanged, ClaimsChanged, AccountCompromised,
}

// Remember has the publisher keep a history for each user, of the latest events
// that are younger than keep. It is written by the commit that takes the events
// out of the outbox, once. With 0 none is kept, and what there was goes with the
// next event.
func (p *Publisher) Remember(keep time.Duration) { p.keep = &keep }

// remember adds events of one user to the commit that takes them out of the
// outbox.
func (p *Publisher) remember(ctx context.Context, c *storage.Change, fresh []storage.Event) error {
	var told []storage.Event
	for _, e := range fresh {
		if slices.Contains(remembered, e.Type) && storage.UserPartition(e.Subject) == c.Partition {
			told = append(told, e)
		}
	}
	if p.keep == nil || len(told) == 0 {
		return nil
	}
	snap, err := p.store.Read(ctx, c.Partition, storage.HistoryKey, storage.UserKey(told[0].Subject))
	if err != nil {
		return err
	}
	rec, err := storage.Decode[storage.History](snap.Rows[0])
	if err != nil {
		return err
	}
	user, err := storage.Decode[storage.User](snap.Rows[1])
	if err != nil {
		return err
	}
	entries := slices.Clone(rec.Value.Entries)
	for _, e := range told {
		entries = addTo(entries, e)
	}
	entries = slices.DeleteFunc(entries, func(h storage.HistoryEntry) bool { return snap.Now.Sub(h.Time) >= *p.keep })
	c.Checks = append(c.Checks, rec.Check(storage.HistoryKey))
	if len(entries) == 0 || user.Value.Username == "" { // nobody is left to read it
		c.Deletes = append(c.Deletes, storage.HistoryKey)
		return nil
	}
	entries = entries[max(0, len(entries)-mostRemembered):]
	c.Puts = append(c.Puts, storage.Put{
		Key: storage.HistoryKey, Value: storage.Encode(storage.History{Entries: entries}),
		Expires: entries[len(entries)-1].Time.Add(*p.keep),
	})
	return nil
}

// addTo adds an event to the entries, or to the one that is like it.
func addTo(entries []storage.HistoryEntry, e storage.Event) []storage.HistoryEntry {
	h := storage.HistoryEntry{Type: e.Type, Time: e.Time, ClientID: e.ClientID, Actor: e.Actor, Reason: e.Reason, Count: 1}
	if addr, err := netip.ParseAddr(e.Source); err == nil && (e.Actor == e.Subject || e.Type == ResetLinkMade) {
		h.Network = storage.NetworkOf(addr) // those of operators and applications are not the user's to know
	}
	for i := len(entries) - 1; i >= 0; i-- {
		old := entries[i]
		if e.Time.Sub(old.Time) > together {
			break
		}
		if old.Type == h.Type && old.ClientID == h.ClientID && old.Actor == h.Actor && old.Reason == h.Reason && old.Network == h.Network {
			entries[i].Count++
			return entries
		}
	}
	return append(entries, h)
}
