package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"jeton/clients"
	"jeton/clients/documents"
	"jeton/grants"
	"jeton/pages"
	"jeton/passwords"
	"jeton/storage"
	"jeton/throttle"
)

// problem is an error as it goes out.
type problem struct {
	status      int
	code        string
	description string
	header      http.Header
	// challenge says how to come in, at a resource of this server.
	challenge *challenge
}

// setHeader puts the headers of a problem into its answer.
func (p problem) setHeader(w http.ResponseWriter, r *http.Request) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	if p.challenge != nil {
		w.Header()["Www-Authenticate"] = p.challenge.fields(r)
	}
}

// statusOf gives each code of the wire its status (RFC 6749 §5.2, RFC 6750
// §3.1).
var statusOf = map[grants.Code]int{
	grants.InvalidRequest:       http.StatusBadRequest,
	grants.InvalidClient:        http.StatusUnauthorized,
	grants.InvalidGrant:         http.StatusBadRequest,
	grants.InvalidScope:         http.StatusBadRequest,
	grants.UnauthorizedClient:   http.StatusBadRequest,
	grants.UnsupportedGrantType: http.StatusBadRequest,
	grants.InvalidToken:         http.StatusUnauthorized,
	grants.InsufficientScope:    http.StatusForbidden,
	grants.InvalidTarget:        http.StatusBadRequest,
	grants.InvalidDPoPProof:     http.StatusBadRequest,
	grants.UseDPoPNonce:         http.StatusBadRequest,

	grants.InsufficientUserAuthentication: http.StatusBadRequest,

	grants.AuthorizationPending: http.StatusBadRequest,
	grants.SlowDown:             http.StatusBadRequest,
	grants.ExpiredToken:         http.StatusBadRequest,

	// These go to clients by way of the browser, or to users on a page.
	grants.AccessDenied:            http.StatusBadRequest,
	grants.UnsupportedResponseType: http.StatusBadRequest,
	grants.LoginRequired:           http.StatusBadRequest,
	grants.ConsentRequired:         http.StatusBadRequest,
	grants.InvalidRequestURI:       http.StatusBadRequest,
	grants.RequestNotSupported:     http.StatusBadRequest,
	grants.RequestURINotSupported:  http.StatusBadRequest,
}

// retryAfter is what a 503 asks clients to wait, in seconds.
const retryAfter = "2"

// problemOf is the one table that turns errors into HTTP. An error that is not
// in it is the server's own, and its text stays in the log.
func problemOf(err error) problem {
	var refused *grants.Error
	var throttled *throttle.Throttled
	var busy *documents.Busy
	var own refusal
	switch {
	case errors.As(err, &own):
		return own.problem
	case errors.As(err, &busy):
		p := unavailable("too many applications that are new here are looked at; wait as long as Retry-After says")
		p.status = http.StatusTooManyRequests
		p.header.Set("Retry-After", strconv.Itoa(int(busy.RetryAfter.Seconds())))
		return p
	case errors.As(err, &throttled):
		p := unavailable("too many failed attempts; wait as long as Retry-After says")
		p.status = http.StatusTooManyRequests
		if throttled.Rule == throttle.RuleRegistration {
			p.description = "too many clients were registered from this address; wait as long as Retry-After says"
		}
		p.header.Set("Retry-After", strconv.Itoa(int(throttled.RetryAfter.Seconds())))
		return p
	case errors.As(err, &refused):
		p := problem{status: statusOf[refused.Code], code: string(refused.Code), description: refused.Description}
		if refused.Code == grants.InvalidClient {
			// RFC 9110 §15.5.2: a 401 names a way to authenticate.
			p.header = http.Header{"Www-Authenticate": {`Basic realm="jeton", charset="UTF-8"`}}
		}
		return p
	case errors.Is(err, clients.ErrInvalidClient):
		return problemOf(grants.Refuse(grants.InvalidClient, "client authentication failed", nil))
	case errors.Is(err, errTooLarge):
		return problem{status: http.StatusRequestEntityTooLarge, code: "invalid_request", description: "the body is too large"}
	case errors.Is(err, passwords.ErrBusy):
		return unavailable("too many sign-ins at once; try again shortly")
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrUnknown), errors.Is(err, storage.ErrUnconfirmed):
		return unavailable("the server cannot reach its store; try again shortly")
	case errors.Is(err, storage.ErrInvalid):
		return problem{status: http.StatusBadRequest, code: "invalid_request", description: "a value is empty or has a NUL character"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable("the request was given up")
	}
	return problem{status: http.StatusInternalServerError, code: "server_error", description: "the server met an unexpected condition"}
}

func unavailable(description string) problem {
	return problem{
		status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: description,
		header: http.Header{"Retry-After": {retryAfter}},
	}
}

// writeProblem answers with an error as JSON and leaves its cause to the log
// line of the request.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	noteError(r.Context(), p, err)
	p.setHeader(w, r)
	writeJSON(w, p.status, map[string]any{"error": p.code, "error_description": p.description})
}

// writeJSON answers with a body that no cache may keep (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

// only answers other methods with 405 and the methods that are allowed
// (RFC 9110 §15.5.6).
func only(h http.Handler, methods ...string) http.Handler {
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				h.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("Allow", allow)
		noteOf(r.Context()).code = "invalid_request"
		writeJSON(w, http.StatusMethodNotAllowed, map[string]any{
			"error": "invalid_request", "error_description": "the method is not allowed here; allowed: " + allow,
		})
	})
}

// byMethod has a handler for each method that an address takes.
type byMethod map[string]http.Handler

func (m byMethod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if h := m[method]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	only(nil, slices.Sorted(maps.Keys(m))...).ServeHTTP(w, r)
}

// nothingHere answers at mistyped addresses: with a page where people are at home
// and a browser asks, which says that it takes one, else as elsewhere.
func (s *Server) nothingHere(w http.ResponseWriter, r *http.Request) {
	home, words := "/account", "Your account"
	switch area(s.below(r)) {
	case "account":
	case "console":
		home, words = consolePath, "To the console"
	default:
		notFound(w, r)
		return
	}
	w.Header().Add("Vary", "Accept")
	if !takesPages(r) {
		notFound(w, r)
		return
	}
	noteOf(r.Context()).code = "not_found"
	s.writeOwn(w, http.StatusNotFound, pages.Notice{
		Service: s.cfg.ServiceName, Title: "There is nothing here", Code: "not_found", Link: &pages.Link{Href: s.base + home, Words: words},
		Words: []string{"No page has this address. If you typed it, look at it once more."},
	}.HTML())
}

// takesPages reports whether a request names HTML among what it takes. What takes
// anything, as curl does, is no browser.
func takesPages(r *http.Request) bool {
	for _, one := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, params, err := mime.ParseMediaType(one)
		if q, bad := strconv.ParseFloat(params["q"], 64); err == nil && kind == "text/html" && (bad != nil || q > 0) {
			return true
		}
	}
	return false
}

func notFound(w http.ResponseWriter, r *http.Request) {
	noteOf(r.Context()).code = "not_found"
	writeJSON(w, http.StatusNotFound, map[string]any{"error": "not_found", "error_description": "there is nothing at this address"})
}
