package main

import (
	"strings"

	"github.com/spf13/pflag"

	"jeton/clients"
	"jeton/clients/documents"
	"jeton/grants"
	"jeton/outbound"
	"jeton/storage"
)

// openClients are the settings of clients that no operator added.
func openClients() []setting {
	return []setting{
		{name: "client-document-hosts", help: "hosts whose applications come unregistered, with the address of a document as client_id: app.example, *.example below it, * for all; !bad.example keeps out (default: none)",
			value: func(s *Settings) pflag.Value { return &s.ClientDocumentHosts }},
		{name: "client-document-scopes", def: strings.Join(grants.OpenIDScopes(), ","), help: "the scopes that such applications may ask for",
			value: func(s *Settings) pflag.Value { return &s.ClientDocumentScopes }},
		{name: "open-client-resources", help: "the APIs that applications may ask tokens for which no operator added, one in a token, by the parameter resource",
			value: func(s *Settings) pflag.Value { return &s.OpenClientResources }},
	}
}

// checkOpenClients holds what every such client would have to what a client may
// have at all.
func (s *Settings) checkOpenClients(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	for _, word := range s.ClientDocumentHosts {
		if err := documents.CheckHost(word); err != nil {
			add("client-document-hosts", "%v", err)
		}
	}
	for _, scope := range s.ClientDocumentScopes {
		if scope == grants.AdminScope || scope == grants.EventsScope {
			add("client-document-scopes", "%s is never for clients that no operator added", scope)
		}
	}
	for _, resource := range s.OpenClientResources {
		if strings.HasSuffix(resource, "/admin/v1") {
			add("open-client-resources", "%s: the administration is never for clients that no operator added", resource)
		}
	}
	err := clients.Validate(storage.Client{
		ID: "x", AuthMethod: storage.AuthNone, Grants: []string{storage.GrantRefreshToken}, Scopes: s.ClientDocumentScopes, Audience: s.OpenClientResources,
	})
	if bad, ok := err.(*clients.MetadataError); ok {
		for _, fault := range bad.Faults {
			name := "client-document-scopes"
			if strings.HasPrefix(fault, "audience") {
				name = "open-client-resources"
			}
			add(name, "%s", fault)
		}
	}
}

// documents reads the documents of clients.
func (s *Settings) documents(n *node) *documents.Reader {
	return documents.New(documents.Config{
		HTTP:  outbound.NewClient(outbound.Config{Allow: s.OutboundAllow}),
		Hosts: s.ClientDocumentHosts, Scopes: s.ClientDocumentScopes, Log: n.log,
	})
}
