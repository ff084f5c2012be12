// Package server is Jeton on HTTP: routes, endpoints, client credentials, and
// the one table that turns errors into answers. What the protocol allows is
// decided in package grants; what is published under /.well-known is made in
// package wellknown; who may administer is in accounts. The outside world,
// files and flags, is read by cmd/jeton.
package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"jeton/accounts"
	"jeton/clients"
	"jeton/events"
	"jeton/events/lists"
	"jeton/events/webhooks"
	"jeton/grants"
	"jeton/traces"
	wellknown "jeton/well-known"
)

// Config is what a server needs to know of the world.
type Config struct {
	// Issuer is the URL that all tokens and documents name; the routes lie
	// below its path.
	Issuer string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	// Requests says which requests are logged.
	Requests RequestLog
	// Traces sends spans of requests; nil sends none.
	Traces *traces.Tracer
	// TraceCallers are the networks whose traceparent counts. Of others it is as
	// good as none: who decides what is traced fills the collector.
	TraceCallers []netip.Prefix
	// Lists publishes the status lists.
	Lists *lists.Publisher
	// ServiceName is what the pages call this server, ScopeWords what they say
	// of scopes.
	ServiceName string
	ScopeWords  map[string]string
	// Recovery mails those who have forgotten their password, nil where no mail
	// is sent.
	Recovery *accounts.Recovery
	// ConsoleMaxAge is how long after a sign-in the console still does what ends
	// or changes something; then it asks for the password again. Zero takes 15 min.
	ConsoleMaxAge time.Duration
	// History has the events of late; its zero value has none.
	History events.History
	// Webhooks delivers events, nil where nothing is delivered.
	Webhooks *webhooks.Dispatcher
}

// Server answers OAuth requests.
type Server struct {
	cfg     Config
	base    string // the path of the issuer, without trailing slash
	origin  string // its scheme and host
	https   bool
	grants  *grants.Service
	clients *clients.Authenticator
	docs    []wellknown.Route
	admin   *Admin
	metrics *Metrics
	library *carrier
	sampled sampler
	leaving atomic.Bool
}

// New puts the parts together, and tells admin where requests come from.
func New(cfg Config, g *grants.Service, auth *clients.Authenticator, docs []wellknown.Route, admin *Admin) (*Server, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	if cfg.ConsoleMaxAge == 0 {
		cfg.ConsoleMaxAge = 15 * time.Minute
	}
	s := &Server{
		cfg: cfg, base: strings.TrimSuffix(u.Path, "/"), origin: u.Scheme + "://" + u.Host, https: u.Scheme == "https", grants: g, clients: auth,
		docs: docs, admin: admin, metrics: newMetrics(g, cfg.Lists),
	}
	if cfg.Webhooks != nil {
		s.metrics.registry.MustRegister(newWebhookMetrics(cfg.Webhooks))
	}
	if cfg.Recovery != nil {
		s.metrics.registry.MustRegister(newMailMetrics(cfg.Recovery.Mail))
	}
	if g.Documents.On() {
		s.metrics.registry.MustRegister(newDocumentMetrics(g.Documents))
	}
	s.library = newLibrary(g)
	admin.Source, admin.metrics = s.sourceOf, s.metrics
	return s, nil
}

// Handler is the public surface, the whole of it, top to bottom.
func (s *Server) Handler() http.Handler {
	// No path is cleaned: that would answer a POST with a redirect.
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	r.NotFoundHandler = http.HandlerFunc(s.nothingHere)

	for _, doc := range s.docs {
		r.Handle(doc.Path, s.noteReader(doc))
	}
	at := r.PathPrefix(s.base).Subrouter()
	at.Handle("/token", s.browser(http.HandlerFunc(s.token)))
	at.Handle("/revoke", s.browser(http.HandlerFunc(s.revoke)))
	at.Handle("/session/token", s.page(http.HandlerFunc(s.sessionToken)))
	at.Handle("/session/revoke", s.page(http.HandlerFunc(s.sessionRevoke)))
	at.Handle("/introspect", only(http.HandlerFunc(s.introspect), http.MethodPost))
	at.Handle("/par", s.browser(http.HandlerFunc(s.par)))
	at.Handle("/authorize", byMethod{http.MethodGet: s.visited(s.authorize), http.MethodPost: http.HandlerFunc(s.authorizePost)})
	at.Handle("/device_authorization", s.browser(http.HandlerFunc(s.deviceAuthorization)))
	at.Handle("/device", byMethod{http.MethodGet: s.deviceVisited(s.device), http.MethodPost: s.deviceVisited(s.devicePost)})
	at.Handle("/login", byMethod{http.MethodGet: forOwnPages(s.ownLogin, s.eitherVisited(s.loginGet)), http.MethodPost: forOwnPages(s.ownLoginPost, s.eitherVisited(s.loginPost))})
	at.Handle("/choose", byMethod{http.MethodGet: s.visited(s.again), http.MethodPost: s.visited(s.choosePost)})
	at.Handle("/consent", byMethod{http.MethodGet: s.visited(s.again), http.MethodPost: s.visited(s.consentPost)})
	at.Handle("/userinfo", byMethod{http.MethodGet: http.HandlerFunc(s.userinfo), http.MethodPost: http.HandlerFunc(s.userinfo), http.MethodOptions: http.HandlerFunc(userinfoPreflight)})
	at.Handle("/end_session", byMethod{http.MethodGet: http.HandlerFunc(s.endSession), http.MethodPost: http.HandlerFunc(s.endSessionPost)})
	if s.grants.Settings.Registration.On() {
		at.Handle(registerPath, byMethod{http.MethodPost: http.HandlerFunc(s.register), http.MethodOptions: registerPreflight("POST")})
		at.Handle(registerPath+"/{client_id}", byMethod{
			http.MethodGet: http.HandlerFunc(s.showRegistration), http.MethodPut: http.HandlerFunc(s.changeRegistration),
			http.MethodDelete: http.HandlerFunc(s.endRegistration), http.MethodOptions: registerPreflight("GET, PUT, DELETE"),
		})
	}
	at.Handle("/account", s.ownPages(s.account, nil))
	at.Handle("/account/applications", s.ownPages(s.applications, nil))
	at.Handle("/account/applications/disconnect", s.ownPages(s.applicationsAgain, s.disconnect))
	at.Handle("/account/activity", s.ownPages(s.activity, nil))
	at.Handle("/account/password", s.ownPages(s.password, s.passwordPost))
	at.Handle("/account/end", s.ownPages(s.accountAgain, s.endOwn))
	at.Handle("/account/end-others", s.ownPages(s.accountAgain, s.endOthers))
	at.Handle("/account/sign-out", s.ownPages(s.accountAgain, s.signOutElsewhere))
	at.Handle("/forgot", byMethod{http.MethodGet: http.HandlerFunc(s.forgot), http.MethodPost: http.HandlerFunc(s.forgotPost)})
	at.Handle("/reset", byMethod{http.MethodGet: http.HandlerFunc(s.resetDone)})
	at.Handle("/reset/{link}", byMethod{http.MethodGet: http.HandlerFunc(s.reset), http.MethodPost: http.HandlerFunc(s.resetPost)})
	at.Handle("/healthz", only(http.HandlerFunc(s.healthz), http.MethodGet, http.MethodHead))
	at.Handle("/readyz", only(http.HandlerFunc(s.readyz), http.MethodGet, http.MethodHead))
	at.Handle(statusPath, s.anyPage(http.HandlerFunc(s.statusLists)))
	at.Handle(statusPath+"/{list}", s.anyPage(http.HandlerFunc(s.statusList)))
	s.consoleRoutes(at)
	at.PathPrefix(adminPath + "/").Handler(s.admin.BearerDoor())

	r.Use(nameRoute)
	return s.observe(r)
}

// OperatorDoor is [Admin.OperatorDoor], with its requests logged and counted.
func (s *Server) OperatorDoor() http.Handler { return s.observe(s.admin.OperatorDoor()) }

// noteReader tells the ring who fetches the key set: a new key waits for those
// who are known to come back.
func (s *Server) noteReader(doc wellknown.Route) http.Handler {
	if doc.Path != s.base+wellknown.KeySetPath {
		return doc.Handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := s.grants.Keys.KeySet() // before the answer, which then holds no fewer keys
		doc.Handler.ServeHTTP(w, r)
		if r.Method == http.MethodGet {
			s.grants.Keys.Fetched(set, s.sourceOf(r).Address, r.UserAgent())
		}
	})
}

// MetricsHandler is the page for Prometheus, for a listener of its own.
func (s *Server) MetricsHandler() http.Handler { return s.metrics.handler() }
