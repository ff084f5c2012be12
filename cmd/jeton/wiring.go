package main

import (
	"maps"
	"slices"
	"time"

	"jeton/clients"
	"jeton/grants"
	"jeton/keys"
	"jeton/outbound"
	"jeton/server"
	"jeton/traces"
	wellknown "jeton/well-known"
)

// server puts HTTP on the node.
func (n *node) server(s *Settings) (*server.Server, error) {
	issuer := n.grants.Settings.Issuer
	auth, err := clients.New(clients.Config{
		Store: n.store, Issuer: issuer,
		HTTP:     outbound.NewClient(outbound.Config{Allow: s.OutboundAllow, MaxBytes: keys.MaxJWKSet}),
		Unstored: n.grants.Documents.Client,
	})
	if err != nil {
		return nil, err
	}
	published := server.Published(n.grants.Settings, scopesSupported(s))
	published.DocumentClients = n.grants.Documents.On()
	docs, err := wellknown.Routes(published, n.ring)
	if err != nil {
		return nil, err
	}
	if s.TracesEndpoint != "" {
		if n.traces, err = traces.New(traces.Config{
			Endpoint: s.TracesEndpoint.String(), OneIn: int(s.TracesOneIn), Version: thisBuild().Version, Log: n.log,
		}); err != nil {
			return nil, err
		}
	}
	if n.recover, err = n.recovery(s); err != nil {
		return nil, err
	}
	srv, err := server.New(server.Config{
		Issuer: issuer, TrustedProxies: s.TrustedProxies, Log: n.log, Lists: n.lists, Webhooks: n.webhooks,
		Traces: n.traces, TraceCallers: s.TracesCallers, Recovery: n.recover,
		Requests:    server.RequestLog{All: s.LogRequests.word == "all", QuietOneIn: int(s.LogQuiet)},
		ServiceName: s.ServiceName.String(), ScopeWords: s.ScopeWords,
		ConsoleMaxAge: time.Duration(s.ConsoleMaxAge), History: n.history,
	}, n.grants, auth, docs, n.accounts())
	if err != nil {
		return nil, err
	}
	srv.Registry().MustRegister(buildMetric(thisBuild()))
	if !s.onRedis() {
		file, err := sqliteFile(s.Store.String())
		if err != nil {
			return nil, err
		}
		srv.Registry().MustRegister(fileMetric{file})
	}
	return srv, nil
}

// scopesSupported are the scopes that mean something to the server itself, and
// those that the operator has put into words.
func scopesSupported(s *Settings) []string {
	scopes := grants.OpenIDScopes()
	for _, scope := range slices.Sorted(maps.Keys(s.ScopeWords)) {
		if !slices.Contains(scopes, scope) && scope != grants.AdminScope {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
