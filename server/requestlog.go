package server

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"jeton/grants"
	"jeton/measure"
)

// RequestLog says which requests are logged. Its zero value logs those that
// failed.
type RequestLog struct {
	// All also logs those that succeeded; otherwise only the level debug shows
	// them.
	All bool
	// QuietOneIn is how many successful answers of the quiet routes, which say
	// the same thing all day, one line stands for; 0 leaves them to debug.
	QuietOneIn int
}

// quiet reports whether a route is one of documents and checks.
func quiet(route string) bool {
	return strings.Contains(route, "/.well-known/") || strings.HasSuffix(route, "/healthz") || strings.HasSuffix(route, "/readyz") ||
		strings.HasSuffix(route, statusPath) || strings.HasSuffix(route, statusPath+"/{list}")
}

// sampler counts the answers of quiet routes.
type sampler struct{ seen atomic.Uint64 }

// level is at which a request is logged, and for how many its line stands.
func (s *Server) level(n *note, status int) (slog.Level, int) {
	switch {
	case status >= 500:
		return slog.LevelError, 1
	case n.code == string(grants.AuthorizationPending) && !s.cfg.Requests.All:
		return slog.LevelDebug, 1 // a device waits, nothing has failed
	case status >= 400, status == 0, n.code != "":
		return slog.LevelInfo, 1
	case !s.cfg.Requests.All:
		return slog.LevelDebug, 1
	case !quiet(n.route):
		return slog.LevelInfo, 1
	}
	every := s.cfg.Requests.QuietOneIn
	if every > 0 && s.sampled.seen.Add(1)%uint64(every) == 0 {
		return slog.LevelInfo, every
	}
	return slog.LevelDebug, 1
}

// mostAttrs is how many members a line may have.
const mostAttrs = 32

// logRequest writes the one line of a request. Its members are listed in
// docs/OPERATING.md; what a stranger chose is cut to a bound.
func (s *Server) logRequest(r *http.Request, n *note, rec *recorder, took time.Duration) {
	level, oneIn := s.level(n, rec.status)
	// The id is a member here, so the context must not add it again.
	if !s.cfg.Log.Enabled(context.Background(), level) {
		return
	}
	var room [mostAttrs]slog.Attr
	attrs := append(room[:0], slog.String("request_id", n.id))
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, cut(value)))
		}
	}
	number := func(name string, value int64) {
		if value > 0 {
			attrs = append(attrs, slog.Int64(name, value))
		}
	}
	if n.span.Trace != [16]byte{} {
		text("trace_id", hex.EncodeToString(n.span.Trace[:]))
	}
	text("method", r.Method)
	text("route", n.route)
	attrs = append(attrs, slog.Int("status", rec.status))
	text("outcome", n.outcome)
	text("error", n.code)
	if n.cause != nil {
		text("cause", n.cause.Error())
	}
	text("grant_type", n.grantType)
	text("client_id", n.clientID)
	text("auth_method", n.authMethod)
	text("actor", n.actor)
	text("sub", n.sub)
	text("sid", n.sid)
	src := s.sourceOf(r)
	text("source", src.Address)
	text("agent", src.Device.Agent)
	number("bytes_in", r.ContentLength)
	number("bytes_out", rec.bytes)
	attrs = append(attrs, slog.Int64("took_us", took.Microseconds()))
	attrs = appendStages(attrs, &n.spent)
	if oneIn > 1 {
		number("one_in", int64(oneIn))
	}
	s.cfg.Log.LogAttrs(context.Background(), level, "request", attrs...)
}

// appendStages tells what a request has waited for and used.
func appendStages(attrs []slog.Attr, spent *measure.Request) []slog.Attr {
	add := func(name string, stages ...measure.Stage) (calls int) {
		var sum time.Duration
		for _, stage := range stages {
			took, n := spent.Took(stage)
			sum, calls = sum+took, calls+n
		}
		if calls > 0 {
			attrs = append(attrs, slog.Int64(name, sum.Microseconds()))
		}
		return calls
	}
	if calls := add("store_us", measure.StoreRead, measure.StoreList, measure.StoreCommit); calls > 0 {
		attrs = append(attrs, slog.Int("store_calls", calls))
	}
	add("kdf_wait_us", measure.KDFWait)
	add("kdf_us", measure.KDF)
	add("sign_us", measure.Sign)
	return attrs
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
