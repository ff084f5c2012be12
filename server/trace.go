package server

import (
	"net/http"
	"time"

	"jeton/traces"
)

// trace hands over the span of a request. Its attributes have the names of
// OpenTelemetry where it has one. People are not among them: who may see traces
// is seldom who may see the log, which the request's id leads to.
func (s *Server) trace(r *http.Request, n *note, rec *recorder, begun time.Time, took time.Duration) {
	method := knownMethod(r.Method)
	clientID := ""
	if n.client != nil {
		clientID = n.client.ID
	}
	s.cfg.Traces.End(traces.Span{
		IDs: n.span, Parent: n.parent, Name: method + " " + n.route, Begun: begun, Took: took, Parts: n.spent.Parts(), Failed: rec.status >= 500,
		Texts: [][2]string{
			{"http.request.method", method}, {"http.route", n.route}, {"error.type", n.code},
			{"jeton.request_id", n.id}, {"jeton.client_id", clientID}, {"jeton.grant_type", knownGrant(n.grantType)}, {"jeton.outcome", n.outcome},
		},
		Numbers: map[string]int64{"http.response.status_code": int64(rec.status)},
	})
}

// knownMethod keeps what a stranger makes up out of the names of spans.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

func knownGrant(grantType string) string {
	if grantType == "" {
		return ""
	}
	return actLabel(grantType)
}
