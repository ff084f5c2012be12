package server

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gorilla/mux"

	"jeton/clients"
	"jeton/grants"
	"jeton/measure"
	"jeton/storage"
	"jeton/traces"
)

// note gathers, while a request is served, what its one line of log will say.
type note struct {
	id     string
	route  string
	parent traces.Parent // what the caller says that the request belongs to
	span   traces.IDs

	clientID   string // as sent
	client     *storage.Client
	authMethod string
	grantType  string
	actor      string // who administers
	// sub and sid are whom it was about, where that was proven.
	sub, sid string

	outcome string
	code    string
	cause   error

	source grants.Source
	placed bool // source is known

	spent measure.Request

	// parked is the request itself when it outlives its handler.
	parked *parked
}

// noted is the context of a request: it has the note, and with it what the
// stages below add up, without a layer for each.
type noted struct {
	context.Context
	note note
}

type noteKey struct{}

func (c *noted) Value(key any) any {
	switch key.(type) {
	case noteKey:
		return &c.note
	case measure.Key:
		return &c.note.spent
	}
	return c.Context.Value(key)
}

// noteOf never returns nil, so that handlers run without the middleware too.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return new(note)
}

func noteError(ctx context.Context, p problem, err error) {
	n := noteOf(ctx)
	n.code, n.cause = p.code, err
	if refused, ok := errors.AsType[*clients.InvalidClientError](err); ok {
		n.cause = refused.Cause // its own text tells the caller nothing
	}
	if refused, ok := errors.AsType[*grants.Error](err); ok {
		n.sub, n.sid = refused.Subject, refused.Session
		if refused.Cause != nil {
			n.cause = refused.Cause // the code is a member of its own
		}
	}
}

// nameRoute notes the template of the route, never the path: that a stranger
// chooses.
func nameRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			noteOf(r.Context()).route, _ = route.GetPathTemplate()
		}
		next.ServeHTTP(w, r)
	})
}

// observe gives each request an id, writes one line and one measurement for it,
// and turns a panic into a 500 and a stack in the log.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		begun := time.Now()
		c := &noted{Context: req.Context(), note: note{id: requestID(req), route: "none"}}
		n := &c.note
		n.parent = s.parent(c, req)
		n.span.Trace = n.parent.Trace
		if s.cfg.Traces != nil {
			n.span, n.spent.Traced = s.cfg.Traces.Begin(n.parent)
		}
		w.Header()[requestIDHeader] = []string{n.id}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		req = req.WithContext(c)
		s.metrics.inFlight.Add(1)
		defer func() {
			v := recover()
			if n.parked != nil {
				n.parked.begin(c, begun)
				return
			}
			s.endRequest(req, rec, begun, v)
			if v == http.ErrAbortHandler {
				panic(v)
			}
		}()
		next.ServeHTTP(rec, req)
	})
}

// endRequest counts and logs a request that is answered, or ended in the panic v.
func (s *Server) endRequest(req *http.Request, rec *recorder, begun time.Time, v any) {
	c, n := req.Context(), noteOf(req.Context())
	if v != nil && v != http.ErrAbortHandler {
		s.metrics.panics.Inc()
		n.code = "server_error"
		s.cfg.Log.ErrorContext(c, "a request ended in a panic: this is a defect, please report it", "panic", v, "stack", string(debug.Stack()))
		if !rec.wrote {
			writeJSON(rec, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		}
	}
	if v == http.ErrAbortHandler { // the client has gone; net/http closes the connection
		rec.status = 0
	}
	took := time.Since(begun)
	s.metrics.inFlight.Add(-1)
	s.metrics.request(n.route, rec.status, took)
	s.logRequest(req, n, rec, took)
	if n.spent.Traced {
		s.trace(req, n, rec, begun, took)
	}
}

// recorder remembers the status, and how much was answered.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.wrote = true
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
