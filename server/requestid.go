package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
)

// requestIDHeader carries the id of a request in and out, so that what a proxy,
// this server and a caller have logged can be put together.
const requestIDHeader = "X-Request-Id"

// mostRequestID is how long an id from outside may be: twice a UUID.
const mostRequestID = 72

// requestID is the id that came with a request, if it is one that a log can
// bear, or a new one of 96 random bits. It names nothing but this request, so
// a stranger who chooses it gains nothing.
func requestID(r *http.Request) string {
	if sent := r.Header[requestIDHeader]; len(sent) == 1 && plainID(sent[0]) {
		return sent[0]
	}
	var b [12]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func plainID(s string) bool {
	if len(s) < 8 || len(s) > mostRequestID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// WithRequestID adds to each line of log that is written while a request is
// served the id of that request.
func WithRequestID(h slog.Handler) slog.Handler { return correlated{h} }

type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, line slog.Record) error {
	if n, ok := ctx.Value(noteKey{}).(*note); ok && n.id != "" {
		line = line.Clone()
		line.AddAttrs(slog.String("request_id", n.id))
	}
	return h.Handler.Handle(ctx, line)
}

func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

func (h correlated) WithGroup(name string) slog.Handler {
	return correlated{h.Handler.WithGroup(name)}
}
