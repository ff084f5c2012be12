package grants

import (
	"context"
	"errors"
	"slices"
	"time"

	"jeton/clients/documents"
	"jeton/events"
	"jeton/keys"
	"jeton/storage"
)

// Clients that no operator added: their id is the address of a document that
// describes them. Until a user has let one in it is known from memory alone, so
// that strangers fill no store. From then on it has a record like any other
// client, and so all that ends sessions, blocks clients and lists them holds for
// it too; but what stands in the record is read again from the document.

const (
	// staleFor is how long a document that cannot be read still counts for
	// sessions that there are. Nobody is let in anew by one.
	staleFor = 24 * time.Hour
	// forgetAfter is how long after its last session could have ended the record
	// of a client goes that nobody uses.
	forgetAfter = 30 * storage.Day
)

// Describe has what is known of a client be as fresh as its document wants it,
// before the client proves who it is: that of a client that users have let in, and,
// where something is begun anew, also that of one that nobody knows. Other ids
// than addresses of documents are none of its business.
func (s *Service) Describe(ctx context.Context, id string, anew bool, source Source) error {
	if !documents.Describes(id) {
		return nil
	}
	rec, err := s.Store.CachedClient(ctx, id)
	switch {
	case err != nil:
		return err
	case rec.Value.Disabled: // which is found out elsewhere
		return nil
	case rec.Exists():
		_, err = s.renewed(ctx, rec, anew)
		return err
	case !anew:
		return nil
	}
	if _, err = s.met(ctx, id, source); err == nil {
		// It may write more than a look at it would: the ids of its assertions.
		err = documentRefusal(s.Documents.Count(id, sourceKey(source)))
	}
	return err
}

// met is a client that no user has let in yet. It has no version.
func (s *Service) met(ctx context.Context, id string, source Source) (storage.Record[storage.Client], error) {
	found, err := s.Documents.Meet(ctx, id, sourceKey(source))
	if err != nil {
		return storage.Record[storage.Client]{}, documentRefusal(err)
	}
	now := s.Now()
	found.Client.Document = &storage.Document{Read: now, Fresh: now.Add(found.Fresh)}
	return storage.Record[storage.Client]{Value: found.Client}, nil
}

func sourceKey(source Source) string {
	if source.Unnamed { // all who come by that proxy would count as one
		return ""
	}
	return source.Address
}

// renewed is the client of a record as its document, and the settings, want it
// now. For what is begun anew the document has to be there.
func (s *Service) renewed(ctx context.Context, rec storage.Record[storage.Client], anew bool) (storage.Record[storage.Client], error) {
	c := rec.Value
	if c.Document == nil {
		return rec, nil
	}
	will, ok := s.Documents.Permit(c)
	if !ok {
		return rec, fail(InvalidClient, "applications of that host are not let in here any more", nil)
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return rec, err
	}
	same := slices.Equal(will.Scopes, c.Scopes)
	if now.Before(c.Document.Fresh) {
		if same {
			return rec, nil
		}
		return s.rewrite(ctx, rec, will)
	}
	found, err := s.Documents.Again(ctx, c.ID)
	if refused := new(documents.Error); errors.As(err, &refused) && !anew && now.Before(c.Document.Read.Add(staleFor)) {
		if same {
			return rec, nil
		}
		return s.rewrite(ctx, rec, will)
	} else if err != nil {
		return rec, documentRefusal(err)
	}
	will = described(c, found.Client)
	s.date(&will, now, found.Fresh)
	return s.rewrite(ctx, rec, will)
}

// described is a client as its document describes it now. What operators set
// stays, and so does what became of it.
func described(c, says storage.Client) storage.Client {
	says.AccessTokenTTL, says.RefreshTokenTTL, says.SessionTTL, says.RefreshRetryWindow, says.MaxSessions = c.AccessTokenTTL, c.RefreshTokenTTL, c.SessionTTL, c.RefreshRetryWindow, c.MaxSessions
	says.BindAgent, says.BindAddress = c.BindAgent, c.BindAddress
	says.Disabled, says.Created, says.Updated, says.Epoch, says.AccessEpoch = c.Disabled, c.Created, c.Updated, c.Epoch, c.AccessEpoch
	says.Document = c.Document
	return says
}

// date notes when a document was read.
func (s *Service) date(c *storage.Client, now time.Time, fresh time.Duration) {
	c.Document = &storage.Document{
		Read: now, Fresh: now.Add(fresh),
		Forget: now.Add(lifetime(c.SessionTTL, s.Settings.SessionTTL) + forgetAfter),
	}
}

// rewrite brings the record up to date. If the document has nothing left of what
// it was, somebody else has the address now: what was granted to the client ends.
func (s *Service) rewrite(ctx context.Context, rec storage.Record[storage.Client], will storage.Client) (storage.Record[storage.Client], error) {
	was := rec.Value
	ctx = context.WithoutCancel(ctx) // begun, it is finished
	end := s.Settings.On.ToClient(s.Settings, was, will).Ending(Ending{Reason: storage.ReasonClientChanged, By: "server", Note: "the scopes of such clients"})
	if !continues(was, will) {
		end = &Ending{Reason: storage.ReasonClientChanged, By: "server", Note: "its document is another one"}
	}
	var facts []storage.Event
	if !sameButDates(was, will) {
		e := events.New(events.ClientChanged, will.Document.Read)
		e.ClientID, e.Actor = was.ID, "server"
		facts = append(facts, e)
	}
	_, err := s.ChangeClient(ctx, was.ID, func(c *storage.Client) error {
		if c.Document == nil {
			return errNotDescribed
		}
		document := *will.Document
		if c.Document.Read.After(document.Read) {
			document = *c.Document // another node has read a later one
		}
		*c = described(*c, will)
		c.Document = &document
		return nil
	}, end, facts...)
	if errors.Is(err, ErrNotFound) || errors.Is(err, errNotDescribed) {
		return rec, fail(InvalidClient, "no application is registered under this client_id", err)
	} else if err != nil {
		return rec, err
	}
	rec, _, err = s.Store.Client(ctx, was.ID)
	return rec, err
}

var errNotDescribed = errors.New("the client was registered meanwhile")

// continues reports whether a document can be that of the same client: it proves
// itself in the same way, and of its redirect URIs and of its keys some are left.
func continues(was, will storage.Client) bool {
	if was.AuthMethod != will.AuthMethod || !slices.ContainsFunc(was.RedirectURIs, func(u string) bool { return slices.Contains(will.RedirectURIs, u) }) {
		return false
	}
	if was.AuthMethod != storage.AuthPrivateKeyJWT {
		return true
	}
	return was.JWKSURI != "" && was.JWKSURI == will.JWKSURI || sharesKey(was.JWKS, will.JWKS)
}

// sharesKey reports whether two key sets have a key in common.
func sharesKey(was, will string) bool {
	before, errBefore := keys.ParseJWKSet([]byte(was))
	after, errAfter := keys.ParseJWKSet([]byte(will))
	if errBefore != nil || errAfter != nil {
		return false
	}
	return slices.ContainsFunc(before, func(k keys.JWK) bool {
		one, err := keys.Thumbprint(k.Key)
		return err == nil && slices.ContainsFunc(after, func(k keys.JWK) bool {
			other, err := keys.Thumbprint(k.Key)
			return err == nil && one == other
		})
	})
}

// sameButDates reports whether a document says what it said.
func sameButDates(was, will storage.Client) bool {
	will.Document = was.Document
	return string(storage.Encode(was)) == string(storage.Encode(will))
}

// admit gives the client of a request a record, now that a user is letting it in.
func (s *Service) admit(ctx context.Context, a AuthorizeRequest, sub string) (AuthorizeRequest, error) {
	c := a.Client.Value
	if a.Client.Exists() || c.Document == nil {
		return a, nil
	}
	fresh := c.Document.Fresh.Sub(c.Document.Read)
	err := retryConflicts(func() error {
		rec, now, err := s.Store.Client(ctx, c.ID)
		if err != nil {
			return err
		}
		if rec.Exists() { // let in at this moment, by somebody else or on another node
			a.Client = rec
			return s.stillGood(a)
		}
		c.Created, c.Updated = now, now
		c.Epoch = uint64(now.UnixMicro()) // above all of a client that had the id before
		s.date(&c, now, fresh)
		e := events.New(events.ClientCreated, now)
		e.ClientID, e.Actor, e.Note = c.ID, sub, "its document: nobody registered it"
		v, err := s.Store.Commit(ctx, storage.Change{
			Partition: storage.ClientPartition(c.ID),
			Checks:    []storage.Check{{Key: storage.ClientKey(c.ID)}, {Key: storage.UserKey(c.ID)}},
			Puts:      []storage.Put{storage.ClientPut(c), events.Put(e)},
		})
		a.Client = storage.Record[storage.Client]{Value: c, Version: v}
		return err
	})
	return a, err
}

// stillGood holds a request to a record that was not there when it was judged.
func (s *Service) stillGood(a AuthorizeRequest) error {
	c := a.Client.Value
	if c.Disabled || !redirectAllowed(c, a.RedirectURI) || !slices.Contains(c.Grants, storage.GrantAuthorizationCode) {
		return fail(AccessDenied, "the application may not be let in", nil)
	}
	return nil
}

// documentRefusal puts what package documents says into the words of the wire.
// [documents.Busy] goes on as it is.
func documentRefusal(err error) error {
	if refused := new(documents.Error); errors.As(err, &refused) {
		return fail(InvalidClient, refused.Words, err)
	}
	return err
}
