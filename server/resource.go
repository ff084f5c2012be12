package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"jeton/dpop"
	"jeton/grants"
)

// resource is what access tokens open at this server itself: /userinfo and the
// administration. Both take a token in the header alone, as a bearer token (RFC
// 6750 §2.1) or, where it is bound to a key, with a proof of that (RFC 9449 §7).
type resource struct {
	realm string
	// scope is what a token has to have.
	scope string
	// invalid is said of a token that is worth nothing here.
	invalid string
	// metadata is where the metadata of the resource are (RFC 9728 §5.1).
	metadata string
}

// The schemes of Authorization that resources take.
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// admit finds the access token of a request and whether it stands. One that is
// bound to a key comes with a proof for this very request, which is spent here;
// one that is not has no business with one.
func (o resource) admit(g *grants.Service, w http.ResponseWriter, r *http.Request) (grants.Access, error) {
	scheme, token, err := o.token(r)
	if err != nil {
		return grants.Access{}, err
	}
	access, err := g.VerifyAccess(r.Context(), token)
	if refused := new(grants.Error); errors.As(err, &refused) {
		return grants.Access{}, errors.Join(o.worthless(), err)
	} else if err != nil {
		return grants.Access{}, err
	}
	switch {
	case access.Thumbprint == "" && scheme == schemeBearer:
		return access, nil
	case access.Thumbprint == "":
		return grants.Access{}, o.refusal(http.StatusUnauthorized, "invalid_token", "the access token is not bound to a key: send it as Bearer")
	case scheme == schemeBearer: // RFC 9449 §7.2: never
		return grants.Access{}, o.refusal(http.StatusUnauthorized, "invalid_token", "the access token is bound to a key: send it by the scheme DPoP, with a proof")
	}
	if err := o.prove(g, w, r, access, token); err != nil {
		return grants.Access{}, err
	}
	return access, nil
}

// prove holds a request to the key that its token is bound to.
func (o resource) prove(g *grants.Service, w http.ResponseWriter, r *http.Request, access grants.Access, token string) error {
	proof, err := proofOf(g, w, r)
	switch {
	case err != nil:
		return o.refuseProof(err)
	case proof == nil:
		return o.refusal(http.StatusUnauthorized, string(grants.InvalidDPoPProof), "there is no DPoP proof")
	case proof.Thumbprint != access.Thumbprint:
		return o.refusal(http.StatusUnauthorized, "invalid_token", "the access token is bound to another key than that of the proof")
	case !proof.Names(token):
		return o.refusal(http.StatusUnauthorized, string(grants.InvalidDPoPProof), "ath of the proof is not the hash of the access token")
	}
	return o.refuseProof(g.SpendProof(r.Context(), access.ClientID, proof))
}

// refuseProof gives a refusal of a proof the status that it has at a resource:
// 401, with a challenge (RFC 9449 §7.1, §9).
func (o resource) refuseProof(err error) error {
	if refused, ok := errors.AsType[*grants.Error](err); ok {
		return errors.Join(o.refusal(http.StatusUnauthorized, string(refused.Code), refused.Description), err)
	}
	return err
}

// token reads the token from the one place where it is taken. In a URI it would
// end up in logs.
func (o resource) token(r *http.Request) (scheme, token string, err error) {
	if tokenInQuery(r.URL.RawQuery) {
		return "", "", o.malformed("an access token is taken only in the Authorization header, never in a URI; this one may have been logged: revoke it")
	}
	sent := r.Header.Values("Authorization")
	if len(sent) > 1 {
		return "", "", o.malformed("there is more than one Authorization header")
	}
	scheme = schemeOf(r)
	if scheme == "" {
		return "", "", o.missing()
	}
	_, token, _ = strings.Cut(sent[0], " ")
	if token = strings.TrimLeft(token, " "); !b64token(token) {
		return "", "", o.malformed("the Authorization header is not " + scheme + " and one token")
	}
	return scheme, token, nil
}

// schemeOf is by which of the schemes that there are a request shows a token,
// empty for none.
func schemeOf(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, scheme := range []string{schemeBearer, schemeDPoP} {
		if strings.EqualFold(name, scheme) {
			return scheme
		}
	}
	return ""
}

// missing is told to who sends no token: only how to come in (RFC 6750 §3.1).
func (o resource) missing() error {
	p := problem{status: http.StatusUnauthorized, code: "invalid_token", description: "this needs an access token with the scope " + o.scope}
	p.challenge = &challenge{realm: o.realm, scope: o.scope, metadata: o.metadata}
	return refusal{p}
}

// worthless is told of a token that is not one for here, whatever the reason.
func (o resource) worthless() error {
	return o.refusal(http.StatusUnauthorized, "invalid_token", o.invalid)
}

// lacking is told of a good token without the scope.
func (o resource) lacking() error {
	return o.refusal(http.StatusForbidden, "insufficient_scope", "the access token lacks the scope "+o.scope)
}

func (o resource) malformed(description string) error {
	return o.refusal(http.StatusBadRequest, "invalid_request", description)
}

// refusal is an answer with a challenge.
func (o resource) refusal(status int, code, description string) error {
	c := &challenge{realm: o.realm, code: code, description: description, metadata: o.metadata}
	if code == "invalid_token" || code == "insufficient_scope" { // another token would do
		c.scope = o.scope
	}
	return refusal{problem{status: status, code: code, description: description, challenge: c}}
}

// challenge is what WWW-Authenticate says to who was refused (RFC 6750 §3, RFC
// 9449 §7.1).
type challenge struct{ realm, code, description, scope, metadata string }

// fields are the challenges of an answer, the one of the scheme by which the
// caller has tried first. The other says only that it is there.
func (c challenge) fields(r *http.Request) []string {
	said := ""
	for _, p := range [][2]string{{"error", c.code}, {"error_description", described(c.description)}, {"scope", c.scope}, {"resource_metadata", c.metadata}} {
		if p[1] != "" {
			said += ", " + p[0] + `="` + p[1] + `"`
		}
	}
	bearer := schemeBearer + ` realm="` + c.realm + `"`
	bound := schemeDPoP + ` algs="` + strings.Join(dpop.Algs(), " ") + `", realm="` + c.realm + `"`
	if schemeOf(r) == schemeDPoP {
		return []string{bound + said, bearer}
	}
	return []string{bearer + said, bound}
}

// tokenInQuery reports whether a query has the parameter access_token, however
// it is written, and also where the query could not be parsed as a whole.
func tokenInQuery(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "access_token" {
			return true
		}
	}
	return false
}

// b64token is the syntax of RFC 6750 §2.1.
func b64token(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/", r))
	})
}
