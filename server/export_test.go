package server

import (
	"encoding/hex"
	"log/slog"
	"net/http"

	"jeton/grants"
	"jeton/measure"
	"jeton/storage"
	"jeton/traces"
)

// NewLabels is [Metrics.labelOf] of a fresh set.
func NewLabels() func(string) string { return new(Metrics).labelOf }

// Observed serves requests that do nothing but note what a refresh does.
func (s *Server) Observed(log *slog.Logger, tracer *traces.Tracer) http.Handler {
	quietly := &Server{cfg: s.cfg, base: s.base, metrics: s.metrics}
	quietly.cfg.Log, quietly.cfg.Traces = log, tracer
	var h measure.Histogram
	return quietly.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := noteOf(r.Context())
		n.route, n.grantType, n.clientID, n.authMethod = "/token", storage.GrantRefreshToken, "app", storage.AuthBasic
		n.client = &storage.Client{ID: "app"}
		n.sub, n.sid = "248289761001", "zB4o2y0nQ1WqkM5kq0y9Ag"
		n.source, n.placed = grants.Source{}, false
		for _, stage := range []measure.Stage{measure.StoreRead, measure.StoreRead, measure.Sign, measure.Sign, measure.StoreCommit} {
			measure.Begin(r.Context(), stage, &h).End()
		}
		quietly.count(r, storage.GrantRefreshToken, "ok")
	}))
}

// Answer is what an error is to callers.
func Answer(err error) (status int, description string) {
	p := problemOf(err)
	return p.status, p.description
}

// Named are the id of a request, and the trace that it says it belongs to.
func Named(r *http.Request) (id, trace string) {
	if p := traceparent(r); p.Trace != [16]byte{} {
		trace = hex.EncodeToString(p.Trace[:])
	}
	return requestID(r), trace
}

// WordsOfEnding are what the console says of a reason.
func WordsOfEnding(reason string) string { return endings[reason][0] }
