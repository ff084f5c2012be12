package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
	wellknown "jeton/well-known"
)

// roleAdmin is what a user needs to administer, beside a client that may.
const roleAdmin = "ROLE_ADMIN"

// What a client or user may not do any more, whatever its token says.
var (
	lacksEvents = adminRefusal(http.StatusForbidden, "access_denied", "the client may not report events any more: it needs the scope "+grants.EventsScope)
	lacksRight  = adminRefusal(http.StatusForbidden, "access_denied", "the client or the user may not administer any more: the client needs the admin flag, the user the role "+roleAdmin)
)

// adminResource is the administration as access tokens open it, at an address
// that needs a scope.
func adminResource(s grants.Settings, scope string) resource {
	return resource{
		realm: "jeton admin", scope: scope, metadata: wellknown.ResourceURL(s.AdminAudience()),
		invalid: "the access token is invalid, expired, revoked or for another audience: ask for one with the scope " + scope,
	}
}

// scopeOf is the scope that opens an address. That of the administration opens
// all, and is named where no other does.
func scopeOf(path string) string {
	if strings.HasSuffix(path, adminPath+eventsPath) || strings.HasSuffix(path, globalRevocationPath) {
		return grants.EventsScope
	}
	return grants.AdminScope
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
		actor, err := a.bearer(w, r)
		if err != nil {
			writeAdminProblem(w, r, err)
			return
		}
		routes.ServeHTTP(w, withActor(r, actor))
	})
}

// bearer finds who sends a request.
func (a *Admin) bearer(w http.ResponseWriter, r *http.Request) (Actor, error) {
	door := adminResource(a.Grants.Settings, scopeOf(r.URL.EscapedPath()))
	access, err := door.admit(a.Grants, w, r)
	if err != nil {
		return Actor{}, err
	}
	if !slices.Contains(access.Audience, a.Grants.Settings.AdminAudience()) {
		return Actor{}, door.worthless()
	}
	client, _, err := a.Grants.Store.Client(r.Context(), access.ClientID)
	if err != nil {
		return Actor{}, err
	}
	switch scope := strings.Fields(access.Scope); {
	case slices.Contains(scope, grants.EventsScope):
		return reporter(access, client.Value)
	case !slices.Contains(scope, grants.AdminScope):
		return Actor{}, door.lacking()
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
