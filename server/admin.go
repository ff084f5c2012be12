package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"jeton/accounts"
	"jeton/events/webhooks"
	"jeton/grants"
)

// Admin is the administration of users, clients, sessions, keys and webhooks as
// JSON. It has one set of routes and several doors to it: a door decides who may come
// in and says who it is, the routes are the same behind each. Without a door
// in front they refuse everything.
type Admin struct {
	Users   *accounts.Users
	Clients *accounts.Clients
	Grants  *grants.Service
	// Webhooks are those that are told of events.
	Webhooks *webhooks.Queues
	// Source says where a request came from, for events; nil says nothing.
	Source func(*http.Request) grants.Source

	metrics *Metrics // of a [Server], nil elsewhere
}

// Actor is who administers.
type Actor struct {
	Kind ActorKind
	// ID is `sub` of a user, client_id of a client, empty for an operator.
	ID string
	// Session is the user's.
	Session string
}

// ActorKind tells apart who can administer.
type ActorKind string

// Operators reach the machine itself, the others hold a token. A reporter may
// tell of events and nothing else.
const (
	ActorOperator ActorKind = "operator"
	ActorUser     ActorKind = "user"
	ActorClient   ActorKind = "client"
	ActorReporter ActorKind = "reporter"
)

// String is the actor as events name it.
func (a Actor) String() string {
	switch a.Kind {
	case ActorUser:
		return a.ID
	case ActorClient, ActorReporter:
		return "client:" + a.ID
	}
	return string(a.Kind)
}

// clientID is the client that acts for itself, if one does.
func (a Actor) clientID() string {
	if a.Kind == ActorClient || a.Kind == ActorReporter {
		return a.ID
	}
	return ""
}

type actorKey struct{}

func withActor(r *http.Request, a Actor) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), actorKey{}, a))
}

const adminPath = "/admin/v1"

// Routes mounts the administration below the router's path. The router must
// use encoded paths: names are escaped in them.
func (a *Admin) Routes(r *mux.Router) {
	at := func(path string, m methods) { r.Handle(adminPath+path, a.serve(m)) }
	at("/users", methods{http.MethodGet: a.listUsers, http.MethodPost: a.addUser})
	at("/users/{username}", methods{http.MethodGet: a.showUser, http.MethodDelete: a.deleteUser})
	at("/users/{username}/password", methods{http.MethodPut: a.setPassword})
	at("/users/{username}/reset-link", methods{http.MethodPost: a.resetLink})
	at("/users/{username}/roles", methods{http.MethodPut: a.setRoles})
	at("/users/{username}/claims", methods{http.MethodPut: a.setClaims})
	at("/users/{username}/disable", methods{http.MethodPost: a.disableUser})
	at("/users/{username}/enable", methods{http.MethodPost: a.enableUser})
	// Not below /users, where any name may stand.
	at("/import/users", methods{http.MethodPost: a.importUsers})
	at("/import/clients", methods{http.MethodPost: a.importClients})
	at("/clients", methods{http.MethodGet: a.listClients, http.MethodPost: a.addClient})
	at("/clients/{client_id}", methods{http.MethodGet: a.showClient, http.MethodPatch: a.setClient, http.MethodDelete: a.deleteClient})
	at("/clients/{client_id}/secret", methods{http.MethodPost: a.newSecret})
	at("/clients/{client_id}/former-secret", methods{http.MethodDelete: a.endFormerSecret})
	at("/clients/{client_id}/disable", methods{http.MethodPost: a.disableClient})
	at("/clients/{client_id}/enable", methods{http.MethodPost: a.enableClient})
	at("/registration-tokens", methods{http.MethodGet: a.listInitialTokens, http.MethodPost: a.addInitialToken})
	at("/registration-tokens/{name}", methods{http.MethodDelete: a.revokeInitialToken})
	at("/sessions", methods{http.MethodGet: a.listSessions})
	at("/sessions/revoke", methods{http.MethodPost: a.revokeSessions})
	at("/sessions/{sid}", methods{http.MethodGet: a.showSession})
	at("/preview", methods{http.MethodPost: a.preview})
	at("/consents", methods{http.MethodGet: a.listConsents})
	at("/consents/revoke", methods{http.MethodPost: a.revokeConsent})
	at("/keys", methods{http.MethodGet: a.listKeys})
	at("/keys/rotate", methods{http.MethodPost: a.rotateKey})
	at("/keys/import", methods{http.MethodPost: a.importKey})
	at("/keys/rewrap", methods{http.MethodPost: a.rewrapKeys})
	at("/keys/{kid}", methods{http.MethodDelete: a.removeKey})
	at("/webhooks", methods{http.MethodGet: a.listWebhooks})
	at("/webhooks/{webhook}/retry", methods{http.MethodPost: a.retryLetters})
	at("/webhooks/{webhook}/dead-letters", methods{http.MethodGet: a.listLetters, http.MethodDelete: a.dropLetters})
	at("/webhooks/{webhook}/dead-letters/{jti}", methods{http.MethodDelete: a.dropLetter})
	forReporters := func(path string, m methods) { r.Handle(path, a.serve(m, ActorReporter)) }
	forReporters(adminPath+eventsPath, methods{http.MethodPost: a.reportEvent})
	forReporters(globalRevocationPath, methods{http.MethodPost: a.revokeGlobally})
	r.PathPrefix(adminPath).HandlerFunc(notFound)
}

// router is the routes alone, below base.
func (a *Admin) router(base string) *mux.Router {
	// A cleaned path would be another name.
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	a.Routes(r.PathPrefix(base).Subrouter())
	r.NotFoundHandler = http.HandlerFunc(notFound)
	return r
}

// OperatorDoor lets everyone in as the operator: it belongs behind a socket
// that only the operator can open, or in the operator's own process. Its
// routes begin at /admin/v1, whatever the path of the issuer.
func (a *Admin) OperatorDoor() http.Handler {
	routes := a.router("")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes.ServeHTTP(w, withActor(r, Actor{Kind: ActorOperator}))
	})
}

// call is one request behind the door.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	actor Actor
	act   accounts.Act
	vars  map[string]string
}

// methods are the acts on one path. Each answers with a status and what becomes
// the JSON body, nil for none.
type methods map[string]func(*call) (status int, body any, err error)

// serve mounts the methods for all that administer, and for the kinds of actors
// that may do no more than some things.
func (a *Admin) serve(m methods, others ...ActorKind) http.Handler {
	var allow []string
	for name := range m {
		allow = append(allow, name)
	}
	if m[http.MethodGet] != nil {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	return only(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			noteOf(r.Context()).route, _ = route.GetPathTemplate()
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		c, err := a.call(w, r, method != http.MethodGet)
		if err == nil && c.actor.Kind == ActorReporter && !slices.Contains(others, ActorReporter) {
			err = adminResource(a.Grants.Settings, grants.AdminScope).lacking()
		}
		if err != nil {
			writeAdminProblem(w, r, err)
			return
		}
		status, body, err := m[method](c)
		switch {
		case err != nil:
			writeAdminProblem(w, r, err)
		case body == nil:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
		default:
			writeJSON(w, status, body)
		}
	}), allow...)
}

func (a *Admin) call(w http.ResponseWriter, r *http.Request, changes bool) (*call, error) {
	actor, ok := r.Context().Value(actorKey{}).(Actor)
	if !ok {
		return nil, adminResource(a.Grants.Settings, grants.AdminScope).missing()
	}
	noteOf(r.Context()).actor = actor.String()
	c := &call{w: w, r: r, ctx: r.Context(), actor: actor, vars: make(map[string]string)}
	if changes {
		// Once begun, a change is carried through though nobody waits for it.
		c.ctx = context.WithoutCancel(r.Context())
	}
	c.act = accounts.Act{By: actor.String(), Session: actor.Session, Operator: actor.Kind == ActorOperator}
	if a.Source != nil && !c.act.Operator {
		c.act.Source = a.Source(r).Address
	}
	for name, escaped := range mux.Vars(r) {
		value, err := url.PathUnescape(escaped)
		if err != nil || !utf8.ValidString(value) {
			return nil, adminRefusal(http.StatusBadRequest, "invalid_request", "the path is not percent-encoded UTF-8")
		}
		c.vars[name] = value
	}
	return c, nil
}
