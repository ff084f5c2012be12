package main

import (
	"github.com/spf13/pflag"

	"jeton/grants"
)

// reactions are the settings of what follows from what happens.
func reactions() []setting {
	on := func(name, help string, of []grants.Reaction, field func(*Settings) *choice) setting {
		words := make([]string, len(of))
		for i, r := range of {
			words[i] = string(r)
		}
		return setting{name: "on-" + name, def: words[0], help: help, value: func(s *Settings) pflag.Value {
			c := field(s)
			c.of = words
			return c
		}}
	}
	return []setting{
		on("password-change", "what a user's own change of password ends", grants.OnPasswordChange, func(s *Settings) *choice { return &s.OnPasswordChange }),
		on("password-reset", "what a password that somebody else sets ends", grants.OnPasswordReset, func(s *Settings) *choice { return &s.OnPasswordReset }),
		on("roles-lost", "what ends when a user loses a role", grants.OnRolesLost, func(s *Settings) *choice { return &s.OnRolesLost }),
		on("roles-gained", "what ends when a user only gains roles", grants.OnRolesGained, func(s *Settings) *choice { return &s.OnRolesGained }),
		on("logout", "what a client ends that revokes a refresh token", grants.OnLogout, func(s *Settings) *choice { return &s.OnLogout }),
		on("reuse", "what a spent refresh token ends", grants.OnReuse, func(s *Settings) *choice { return &s.OnReuse }),
		on("client-secret-change", "what ends when a client gets a new secret", grants.OnClientSecretChange, func(s *Settings) *choice { return &s.OnClientSecretChange }),
		on("client-narrowed", "what ends when a client loses a scope or an audience", grants.OnClientNarrowed, func(s *Settings) *choice { return &s.OnClientNarrowed }),
		on("account-disabled", "what follows when an application reports that an account was disabled", grants.OnAccountDisabled, func(s *Settings) *choice { return &s.OnAccountDisabled }),
		on("account-compromised", "what follows when an application reports that others use an account", grants.OnAccountCompromised, func(s *Settings) *choice { return &s.OnAccountCompromised }),
		on("client-compromised", "what follows when an application reports that a client's secret has leaked", grants.OnClientCompromised, func(s *Settings) *choice { return &s.OnClientCompromised }),
	}
}

// reactions are the policies as package grants takes them.
func (s *Settings) reactions() grants.Reactions {
	is := func(c choice) grants.Reaction { return grants.Reaction(c.word) }
	return grants.Reactions{
		PasswordChange: is(s.OnPasswordChange), PasswordReset: is(s.OnPasswordReset),
		RolesLost: is(s.OnRolesLost), RolesGained: is(s.OnRolesGained), Logout: is(s.OnLogout), Reuse: is(s.OnReuse),
		ClientSecretChange: is(s.OnClientSecretChange), ClientNarrowed: is(s.OnClientNarrowed),
		AccountDisabled: is(s.OnAccountDisabled), AccountCompromised: is(s.OnAccountCompromised), ClientCompromised: is(s.OnClientCompromised),
	}
}
