package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Need is what a token has to have beyond being valid.
type Need struct {
	scopes, roles []string
}

// Scopes needs all of these scopes.
func Scopes(all ...string) Need { return Need{scopes: all} }

// AnyRole needs one of these roles.
func AnyRole(any ...string) Need { return Need{roles: any} }

type contextKey struct{}

// FromContext returns the token of a request that [Verifier.Require] let
// through, nil elsewhere.
func FromContext(ctx context.Context) *Token {
	t, _ := ctx.Value(contextKey{}).(*Token)
	return t
}

// Require is middleware: it lets through requests with a valid token that has
// what is needed, and answers all others by RFC 6750 §3.
func (v *Verifier) Require(needs ...Need) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := v.Authenticate(r, needs...)
			if err != nil {
				v.Refuse(w, err)
				return
			}
			if v.o.Cookie != nil { // caches spare only what has an Authorization header (RFC 9111 §3.5)
				w.Header().Set("Cache-Control", "no-store")
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, t)))
		})
	}
}

// Authenticate checks the token of a request, for those who cannot use Require.
// Give its error to [Verifier.Refuse].
func (v *Verifier) Authenticate(r *http.Request, needs ...Need) (*Token, error) {
	token, proved, err := v.tokenOf(r)
	if err != nil {
		return nil, err
	}
	var proving *http.Request
	if proved {
		proving = r
	}
	t, err := v.counted(v.verify(r.Context(), token, proving))
	if err == nil {
		err = t.has(needs)
	}
	if err != nil && (proved || reasonOf(err) == ErrProof) {
		return nil, &dpopRefusal{err, proved}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// has checks that a token has what is needed.
func (t *Token) has(needs []Need) error {
	var scopes []string
	for _, n := range needs {
		scopes = append(scopes, n.scopes...)
	}
	for _, scope := range scopes {
		if !t.HasScope(scope) {
			return &refusal{status: http.StatusForbidden, code: "insufficient_scope", scope: strings.Join(scopes, " "),
				description: "The access token lacks a scope that this needs."}
		}
	}
	for _, n := range needs {
		if n.roles != nil && !slices.ContainsFunc(n.roles, t.HasRole) {
			return &refusal{status: http.StatusForbidden, code: "access_denied", description: "The user lacks a role that this needs."}
		}
	}
	return nil
}

// dpopRefusal is an error about a token that is bound to a key, or came as one.
// proved says by which of the two.
type dpopRefusal struct {
	error
	proved bool
}

func (e *dpopRefusal) Unwrap() error { return e.error }

// refusal is an answer to a request that has no valid token, or not enough.
type refusal struct {
	status      int
	code        string // of RFC 6750 §3.1; empty for one who sent no token
	description string
	scope       string
	retry       bool
}

func (e *refusal) Error() string { return "verify: " + e.description }

var (
	noToken   = &refusal{status: http.StatusUnauthorized, description: "This needs an access token."}
	badProof  = &refusal{status: http.StatusUnauthorized, code: "invalid_dpop_proof", description: "The DPoP proof is not one for this request and this access token."}
	badToken  = &refusal{status: http.StatusUnauthorized, code: "invalid_token", description: "The access token is invalid, expired, revoked or not for this API."}
	noVerdict = &refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retry: true,
		description: "Access tokens cannot be checked at the moment; try again shortly."}
)

func badRequest(description string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

// Refuse answers a request by an error of [Verifier.Authenticate] or
// [Verifier.Verify]. What the error says in words stays here.
func (v *Verifier) Refuse(w http.ResponseWriter, err error) {
	e := new(refusal)
	if !errors.As(err, &e) {
		e = badToken
		switch reasonOf(err) {
		case ErrUnavailable:
			e = noVerdict
		case ErrProof:
			if bound := new(dpopRefusal); errors.As(err, &bound) && bound.proved {
				e = badProof
			}
		}
	}
	scheme := "Bearer"
	if errors.As(err, new(*dpopRefusal)) {
		scheme = `DPoP algs="` + strings.Join(v.o.Algorithms, " ") + `",`
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if challenge := v.challenge(scheme, e); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if e.retry {
		h.Set("Retry-After", "5")
	}
	code := e.code
	if code == "" {
		code = "invalid_token" // of the body, where each error has a code
	}
	body, _ := json.Marshal(map[string]string{"error": code, "error_description": e.description}) // strings always encode
	w.WriteHeader(e.status)
	w.Write(append(body, '\n'))
}

// challenge is WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). There is none
// where another token would not help.
func (v *Verifier) challenge(scheme string, e *refusal) string {
	if e.code == "access_denied" || e.retry {
		return ""
	}
	c := scheme + ` realm="` + v.o.Realm + `"`
	if e.code != "" {
		c += `, error="` + e.code + `", error_description="` + e.description + `"`
	}
	if e.scope != "" {
		c += `, scope="` + e.scope + `"`
	}
	if v.o.Resource != "" {
		c += `, resource_metadata="` + v.metadataURL + `"`
	}
	return c
}

// tokenOf finds the token of a request: in the Authorization header (RFC 6750
// §2.1, RFC 9449 §7.1), or where that is absent in the cookie. In a URI it would end up in
// logs, and in a body it would have to be read before anything is known.
func (v *Verifier) tokenOf(r *http.Request) (token string, proved bool, err error) {
	if inQuery(r.URL.RawQuery) {
		return "", false, badRequest("An access token belongs into the Authorization header, never into a URI: this one may have been logged.")
	}
	sent := r.Header.Values("Authorization")
	if len(sent) == 0 {
		token, err = v.fromCookie(r)
		return token, false, err
	}
	if len(sent) > 1 {
		return "", false, badRequest("There is more than one Authorization header.")
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	proved = strings.EqualFold(scheme, "DPoP")
	if !proved && !strings.EqualFold(scheme, "Bearer") {
		return "", false, noToken
	}
	if token = strings.TrimLeft(token, " "); !isToken68(token) {
		return "", false, badRequest("The Authorization header is not Bearer and one token.")
	}
	return token, proved, nil
}

// inQuery reports whether a query has the parameter access_token, also one
// that could not be parsed as a whole.
func inQuery(query string) bool {
	if !strings.Contains(query, "access_token") && !strings.Contains(query, "%") { // most queries
		return false
	}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "access_token" {
			return true
		}
	}
	return false
}

// isToken68 is the syntax of RFC 6750 §2.1.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/", r))
	})
}

// quotable reports whether s can stand in a challenge as it is.
func quotable(s string) bool {
	q := strconv.QuoteToASCII(s)
	return q[1:len(q)-1] == s
}
