package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// roleAdmin is what a user needs to administer, beside a client that may.
const roleAdmin = "ROLE_ADMIN"

// What a client or user may not do any more, whatever its token says.
var (
	lacksEvents = adminRefusal(http.StatusForbidden, "access_denied", "the client may not report events any more: it needs the scope "+grants.EventsScope)
	lacksRight  = adminRefusal(http.StatusForbidden, "access_denied", "the client or the user may not administer any more: the client needs the admin flag, the user the role "+roleAdmin)
)

// The answers of RFC 6750 §3.1; each names the scope that is needed. One who
// sends nothing is told only how to authenticate.
func noCredentials(scope string) error {
	return bearerRefusal(http.StatusUnauthorized, "", "this needs an access token with the scope "+scope, scope)
}

func invalidToken(scope string) error {
	return bearerRefusal(http.StatusUnauthorized, "invalid_token", "the access token is invalid, expired, revoked or for another audience: ask for one with the scope "+scope, scope)
}

func lacksScope(scope string) error {
	return bearerRefusal(http.StatusForbidden, "insufficient_scope", "the access token lacks the scope "+scope, scope)
}

// scopeOf is the scope that opens an address. That of the administration opens
// all, and is named where no other does.
func scopeOf(path string) string {
	if strings.HasSuffix(path, adminPath+eventsPath) || strings.HasSuffix(path, globalRevocationPath) {
		return grants.EventsScope
	}
	return grants.AdminScope
}

// bearerRefusal is an answer with a challenge (RFC 6750 §3).
func bearerRefusal(status int, code, description, scope string) error {
	challenge := `Bearer realm="jeton admin"`
	if code != "" {
		challenge += `, error="` + code + `", error_description="` + described(description) + `"`
	}
	if scope != "" {
		challenge += `, scope="` + scope + `"`
	}
	if code == "" {
		code = "invalid_token" // of the body, where each error has a code
	}
	return refusal{problem{status: status, code: code, description: description, header: http.Header{"Www-Authenticate": {challenge}}}}
}

func badBearer(description string) error {
	return bearerRefusal(http.StatusBadRequest, "invalid_request", description, "")
}

// BearerDoor lets in who shows an access token with the scope jeton:admin, from
// a client that may administer and, where a user stands behind it, a user with
// the role; and, to tell of events, a client with the scope jeton:events. All of
// it is looked up in the store at each call. Its routes lie below the path of the
// issuer.
func (a *Admin) BearerDoor() http.Handler {
	base := ""
	if u, err := url.Parse(a.Grants.Settings.Issuer); err == nil {
		base = strings.TrimSuffix(u.EscapedPath(), "/")
	}
	routes := a.router(base)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, err := a.bearer(r)
		if err != nil {
			writeAdminProblem(w, r, err)
			return
		}
		routes.ServeHTTP(w, withActor(r, actor))
	})
}

// bearer finds who sends a request.
func (a *Admin) bearer(r *http.Request) (Actor, error) {
	needed := scopeOf(r.URL.EscapedPath())
	token, err := bearerToken(r, needed)
	if err != nil {
		return Actor{}, err
	}
	access, err := a.Grants.VerifyAccess(r.Context(), token)
	if refused := new(grants.Error); errors.As(err, &refused) {
		return Actor{}, errors.Join(invalidToken(needed), err)
	} else if err != nil {
		return Actor{}, err
	}
	// A token that is bound to a key is worth nothing by itself (RFC 9449 §7.2).
	if access.Thumbprint != "" || !slices.Contains(access.Audience, a.Grants.Settings.AdminAudience()) {
		return Actor{}, invalidToken(needed)
	}
	client, _, err := a.Grants.Store.Client(r.Context(), access.ClientID)
	if err != nil {
		return Actor{}, err
	}
	switch scope := strings.Fields(access.Scope); {
	case slices.Contains(scope, grants.EventsScope):
		return reporter(access, client.Value)
	case !slices.Contains(scope, grants.AdminScope):
		return Actor{}, lacksScope(needed)
	}
	if !client.Value.Admin || client.Value.Disabled {
		return Actor{}, lacksRight
	}
	if access.SessionID == "" && access.Subject == access.ClientID {
		return Actor{Kind: ActorClient, ID: access.ClientID}, nil
	}
	if !administers(access.User, access.Subject) {
		return Actor{}, lacksRight
	}
	return Actor{Kind: ActorUser, ID: access.Subject, Session: access.SessionID}, nil
}

// reporter is a client that may tell of events, by a token of its own.
func reporter(access grants.Access, client storage.Client) (Actor, error) {
	if client.Disabled || access.SessionID != "" || access.Subject != access.ClientID || !slices.Contains(client.Scopes, grants.EventsScope) {
		return Actor{}, lacksEvents
	}
	return Actor{Kind: ActorReporter, ID: client.ID}, nil
}

func administers(u storage.User, sub string) bool {
	return u.Subject == sub && !u.Disabled && !accounts.Deleted(u) && slices.Contains(u.Roles, roleAdmin)
}

// bearerToken reads the token from the one place where it is taken (RFC 6750
// §2.1). In a URI it would end up in logs.
func bearerToken(r *http.Request, needed string) (string, error) {
	if tokenInQuery(r.URL.RawQuery) {
		return "", badBearer("an access token is taken only in the Authorization header, never in a URI; this one may have been logged: revoke it")
	}
	sent := r.Header.Values("Authorization")
	if len(sent) == 0 {
		return "", noCredentials(needed)
	}
	if len(sent) > 1 {
		return "", badBearer("there is more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", noCredentials(needed)
	}
	if token = strings.TrimLeft(token, " "); !b64token(token) {
		return "", badBearer("the Authorization header is not Bearer and one token")
	}
	return token, nil
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
