// Package documents reads the documents by which clients describe themselves:
// a client_id that is an https URL is the address of one (Client ID Metadata
// Documents, draft-ietf-oauth-client-id-metadata-document).
//
// Whoever opens an authorization request names such an address, and nobody is
// signed in then. So all that a stranger can cause is bounded here: which hosts
// are asked ([Config.Hosts]), how often from one source, of one host, of one
// site, and altogether ([allowance]), how much is read and kept. A document that
// was read is kept as long as its HTTP headers say, within bounds; a failure is
// never kept. Of many who wait for one document one asks.
//
// What a document has to be is judged by package clients, which addresses may be
// dialled by package outbound. That a user has let a client in, and the record
// that follows from it, is for package grants.
package documents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"jeton/clients"
	"jeton/outbound"
	"jeton/storage"
)

// Config is what a [Reader] needs.
type Config struct {
	// HTTP is a client of package outbound.
	HTTP *http.Client
	// Hosts says whose documents are read; see [CheckHost].
	Hosts []string
	// Scopes are the most that such a client may ask for.
	Scopes []string
	Log    *slog.Logger
	// Now is this machine's clock. It runs cache and bounds.
	Now func() time.Time
}

// Reader reads documents. It is safe for concurrent use.
type Reader struct {
	cfg     Config
	flights singleflight.Group
	bounds  *allowance
	figures figures

	mu    sync.Mutex
	known map[string]known
	tried map[string]time.Time
}

// Bounds of what is kept: documents of clients that no user has let in yet, and
// when the documents of others were last asked for in vain.
const (
	mostKnown = 500
	mostTried = 10_000
	// retryAfter is how often the document of a client that users have let in is
	// asked for while it cannot be had.
	retryAfter = time.Minute
)

// known is a client whose document was read.
type known struct {
	Found
	read time.Time
}

// Found is a client as its document says, with the most that the server lets it
// ask for, and how long the document counts.
type Found struct {
	Client storage.Client
	Fresh  time.Duration
}

// Error refuses a client because of its document. Words are for whoever wrote
// that.
type Error struct {
	Words string
	Cause error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return "documents: " + e.Words + ": " + e.Cause.Error()
	}
	return "documents: " + e.Words
}

func (e *Error) Unwrap() error { return e.Cause }

// Busy says that too many documents were asked for.
type Busy struct {
	RetryAfter time.Duration
	// Rule is which bound was met: source, host, site or server.
	Rule string
}

func (e *Busy) Error() string {
	return fmt.Sprintf("documents: too many were asked for (%s): try again in %s", e.Rule, e.RetryAfter)
}

// New makes a reader. Without hosts it reads nothing.
func New(c Config) *Reader {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Reader{cfg: c, bounds: newAllowance(), known: map[string]known{}, tried: map[string]time.Time{}}
}

// On reports whether documents are read at all.
func (r *Reader) On() bool { return r != nil && len(r.cfg.Hosts) > 0 }

// Describes reports whether an id is meant as the address of a document.
func Describes(id string) bool { return strings.HasPrefix(id, "https://") }

// Meet returns the client at an address that no user has let in yet. source is
// where the question comes from, empty where that is not known.
func (r *Reader) Meet(ctx context.Context, id, source string) (Found, error) {
	if err := r.mayAsk(id); err != nil {
		return Found{}, err
	}
	if found, ok := r.remembered(id); ok {
		return found, nil
	}
	if busy := r.bounds.take(r.cfg.Now(), source, hostOf(id)); busy != nil {
		r.figures.count("throttled")
		return Found{}, busy
	}
	return r.read(ctx, id)
}

// Count takes from the bounds of strangers what costs more than to look at a
// document that is known.
func (r *Reader) Count(id, source string) error {
	if busy := r.bounds.take(r.cfg.Now(), source, hostOf(id)); busy != nil {
		r.figures.count("throttled")
		return busy
	}
	return nil
}

// Client is a client that was met a while ago, from memory.
func (r *Reader) Client(id string) (storage.Client, bool) {
	if !r.On() || !Describes(id) || r.mayAsk(id) != nil {
		return storage.Client{}, false
	}
	found, ok := r.remembered(id)
	return found.Client, ok
}

// Again reads the document of a client that users have let in. What strangers do
// does not hold it up.
func (r *Reader) Again(ctx context.Context, id string) (Found, error) {
	if err := r.mayAsk(id); err != nil {
		return Found{}, err
	}
	now := r.cfg.Now()
	r.mu.Lock()
	last := r.tried[id]
	r.mu.Unlock()
	if since := now.Sub(last); since >= 0 && since < retryAfter {
		return Found{}, &Error{Words: "its document could not be read a moment ago"}
	}
	found, err := r.read(ctx, id)
	if _, refused := errors.AsType[*Error](err); refused {
		r.mu.Lock()
		defer r.mu.Unlock()
		makeRoom(r.tried, id, mostTried)
		r.tried[id] = now
	}
	return found, err
}

// Permit gives a client what the settings of today let it ask for. ok is false
// when its host is not one whose clients are let in.
func (r *Reader) Permit(c storage.Client) (permitted storage.Client, ok bool) {
	if r.mayAsk(c.ID) != nil {
		return c, false
	}
	c.Scopes = slices.Clone(r.cfg.Scopes)
	return c, true
}

func (r *Reader) mayAsk(id string) error {
	if !r.On() {
		return &Error{Words: "applications that nobody has registered are not let in here"}
	}
	if err := clients.CheckDocumentID(id); err != nil {
		return &Error{Words: "the client_id is no address of a document", Cause: err}
	}
	if !allowed(r.cfg.Hosts, hostOf(id)) {
		r.figures.count("blocked")
		return &Error{Words: "applications of that host are not let in here"}
	}
	return nil
}

// remembered finds a client in memory while its document is fresh.
func (r *Reader) remembered(id string) (Found, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.known[id]
	left := k.read.Add(k.Fresh).Sub(r.cfg.Now())
	if !ok || left <= 0 || left > k.Fresh {
		return Found{}, false
	}
	return Found{Client: k.Client, Fresh: left}, true
}

// read fetches a document, once for all who wait for it. The fetch goes on when
// the caller that began it has gone; the HTTP client bounds its time.
func (r *Reader) read(ctx context.Context, id string) (Found, error) {
	flight := r.flights.DoChan(id, func() (any, error) {
		begun := r.cfg.Now()
		found, outcome, err := r.fetch(context.WithoutCancel(ctx), id)
		r.figures.count(outcome)
		if err != nil {
			r.cfg.Log.Warn("the document of a client was refused", "client_id", id, "outcome", outcome, "cause", err)
			return Found{}, err
		}
		r.cfg.Log.Info("read the document of a client", "client_id", id, "fresh", found.Fresh.String(), "took_ms", r.cfg.Now().Sub(begun).Milliseconds())
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.tried, id)
		makeRoom(r.known, id, mostKnown)
		r.known[id] = known{found, begun}
		return found, nil
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return Found{}, landed.Err
		}
		return landed.Val.(Found), nil
	case <-ctx.Done():
		return Found{}, fmt.Errorf("documents: the caller has gone: %w", ctx.Err())
	}
}

// makeRoom lets any entry of a full map go: their order is random.
func makeRoom[V any](m map[string]V, id string, most int) {
	if _, ok := m[id]; ok || len(m) < most {
		return
	}
	for other := range m {
		delete(m, other)
		return
	}
}

// fetch asks for a document. What is told of a failure says nothing of the
// network that this server stands in: only what came from a public address is
// described.
func (r *Reader) fetch(ctx context.Context, id string) (found Found, outcome string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return found, "unreachable", &Error{Words: "its document cannot be reached", Cause: err}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "jeton")
	resp, err := r.cfg.HTTP.Do(req)
	if errors.Is(err, outbound.ErrAddress) {
		return found, "address", &Error{Words: "its document cannot be reached", Cause: err}
	}
	if err != nil {
		return found, "unreachable", &Error{Words: "its document cannot be reached", Cause: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return found, "status", &Error{Words: fmt.Sprintf("its document was answered with the status %d (redirects are not followed)", resp.StatusCode)}
	}
	if !jsonType(resp.Header.Get("Content-Type")) {
		return found, "type", &Error{Words: "its document is not JSON by its Content-Type"}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, clients.MostDocument+1))
	if err != nil && !errors.Is(err, outbound.ErrTooLarge) {
		return found, "unreachable", &Error{Words: "its document cannot be reached", Cause: err}
	}
	if len(text) > clients.MostDocument || err != nil {
		return found, "size", &Error{Words: fmt.Sprintf("its document is larger than %d KiB", clients.MostDocument>>10)}
	}
	client, err := clients.ReadDocument(id, text)
	if err != nil {
		return found, "content", &Error{Words: "its document is wrong: " + err.Error()}
	}
	client, _ = r.Permit(client)
	return Found{Client: client, Fresh: freshFor(resp.Header)}, "ok", nil
}

// jsonType takes application/json and what is built on it (RFC 6839 §3.1).
func jsonType(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}
