package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"jeton/grants"
	"jeton/storage"
)

// registration are the settings of clients that register themselves.
func registration() []setting {
	return []setting{
		{name: "client-registration", def: grants.RegistrationOff, help: "who may register a client at /register: nobody, who has an initial access token, or everyone under limits",
			value: func(s *Settings) pflag.Value {
				s.ClientRegistration.of = []string{grants.RegistrationOff, grants.RegistrationToken, grants.RegistrationOpen}
				return &s.ClientRegistration
			}},
		{name: "registration-scopes", def: strings.Join(grants.OpenIDScopes(), ","), help: "the scopes that registered clients may ask for",
			value: func(s *Settings) pflag.Value { return &s.RegistrationScopes }},
		{name: "registration-unused-ttl", def: "1d", help: "how long a client that registered itself without a token waits for its first user",
			value: func(s *Settings) pflag.Value { return &s.RegistrationUnusedTTL }},
		{name: "registration-max-unused", def: "1000", help: "how many clients that registered themselves may wait for their first user",
			value: func(s *Settings) pflag.Value { return &s.RegistrationMaxUnused }},
	}
}

// maxUnusedTTL bounds how long a stranger's client fills a place.
const maxUnusedTTL = storage.Duration(90 * storage.Day)

func (s *Settings) checkRegistration(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	for _, scope := range s.RegistrationScopes {
		if scope == grants.AdminScope || scope == grants.EventsScope {
			add("registration-scopes", "%s is never for clients that register themselves: leave it out", scope)
		}
		if len(scope) > 255 || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			add("registration-scopes", `%q is not a scope token: printable ASCII without space, " and \`, scope)
		}
	}
	if len(s.RegistrationScopes) > 100 {
		add("registration-scopes", "a client has at most 100 scopes")
	}
	if ttl := s.RegistrationUnusedTTL; ttl < storage.Duration(time.Minute) || ttl > maxUnusedTTL {
		add("registration-unused-ttl", "%s is not from 1m to %s", ttl, maxUnusedTTL)
	}
	if n := s.RegistrationMaxUnused; n < 1 || n > 10_000 {
		add("registration-max-unused", "%d is not 1 to 10000", n)
	}
}

// registration is what package grants has to know of these settings.
func (s *Settings) registration() grants.Registration {
	return grants.Registration{
		Mode: s.ClientRegistration.word, Scopes: s.RegistrationScopes,
		UnusedTTL: time.Duration(s.RegistrationUnusedTTL), MaxUnused: int(s.RegistrationMaxUnused),
	}
}
