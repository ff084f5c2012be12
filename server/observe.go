package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"jeton/clients"
	"jeton/storage"
)

// note gathers, while a request is served, what its one line of log will say.
type note struct {
	clientID  string
	client    *storage.Client
	grantType string
	route     string
	code      string
	cause     error
}

type noteKey struct{}

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
}

// observe writes one line and one measurement for each request, and turns a
// panic into a 500 and a stack in the log.
func (s *Server) observe(r *mux.Router) http.Handler {
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if route := mux.CurrentRoute(r); route != nil {
				noteOf(r.Context()).route, _ = route.GetPathTemplate()
			}
			next.ServeHTTP(w, r)
		})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		begun := time.Now()
		n := &note{route: "none"}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		req = req.WithContext(context.WithValue(req.Context(), noteKey{}, n))
		defer func() {
			v := recover()
			if v == http.ErrAbortHandler { // the client has gone; net/http closes the connection
				s.metrics.request(n.route, 0, time.Since(begun))
				s.logRequest(req, n, 0, time.Since(begun))
				panic(v)
			}
			if v != nil {
				s.metrics.panics.Inc()
				s.cfg.Log.ErrorContext(req.Context(), "a request ended in a panic: this is a defect, please report it", "panic", v, "stack", string(debug.Stack()))
				if !rec.wrote {
					writeJSON(rec, http.StatusInternalServerError, map[string]any{"error": "server_error"})
				}
			}
			s.metrics.request(n.route, rec.status, time.Since(begun))
			s.logRequest(req, n, rec.status, time.Since(begun))
		}()
		r.ServeHTTP(rec, req)
	})
}

func (s *Server) logRequest(r *http.Request, n *note, status int, took time.Duration) {
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("method", cut(r.Method)), slog.String("route", n.route), slog.Int("status", status), slog.Duration("took", took),
	}
	if n.code != "" {
		level = slog.LevelInfo
		if status >= 500 {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", n.code), slog.Any("cause", n.cause))
	}
	if !s.cfg.Log.Enabled(r.Context(), level) {
		return
	}
	if n.clientID != "" {
		attrs = append(attrs, slog.String("client_id", cut(n.clientID)))
	}
	if n.grantType != "" {
		attrs = append(attrs, slog.String("grant_type", cut(n.grantType)))
	}
	attrs = append(attrs, slog.String("source", s.sourceOf(r).Address))
	s.cfg.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// mostLogged is how much of a value that a stranger chose one line may hold:
// the longest client_id there can be.
const mostLogged = 255

func cut(s string) string {
	if len(s) > mostLogged {
		s = strings.ToValidUTF8(s[:mostLogged], "") + "…"
	}
	return s
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *recorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
