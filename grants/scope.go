package grants

import (
	"slices"
	"strings"

	"jeton/storage"
)

// mostScopes is how many scope tokens a request may name: as many as a client
// can have. Comparing them all costs the square of their number.
const mostScopes = 100

// parseScope splits a scope value by the grammar of RFC 6749 §3.3: tokens of
// %x21 / %x23-5B / %x5D-7E, one space between. Repeated tokens count once.
func parseScope(s string) ([]string, error) {
	if strings.Count(s, " ") >= mostScopes {
		return nil, fail(InvalidScope, "the scope has too many tokens", nil)
	}
	var out []string
	for token := range strings.SplitSeq(s, " ") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool {
			return r <= ' ' || r == '"' || r == '\\' || r > '~'
		}) {
			return nil, fail(InvalidScope, "the scope is malformed: scope tokens are printable ASCII with one space between", nil)
		}
		if !slices.Contains(out, token) {
			out = append(out, token)
		}
	}
	return out, nil
}

// grantScope resolves the scope of a new authorization. Nothing asked for
// means all that the client has, but never [AdminScope] and [EventsScope], which
// must be asked for by name and alone, because their tokens are for another
// audience.
func grantScope(client storage.Client, asked string) ([]string, error) {
	if asked == "" {
		return slices.DeleteFunc(slices.Clone(client.Scopes), forAdministration), nil
	}
	scope, err := parseScope(asked)
	if err != nil {
		return nil, err
	}
	for _, s := range scope {
		if !slices.Contains(client.Scopes, s) || (s == AdminScope && !client.Admin) {
			return nil, fail(InvalidScope, "the client may not ask for that scope", nil)
		}
	}
	if slices.ContainsFunc(scope, forAdministration) && len(scope) > 1 {
		return nil, fail(InvalidScope, "jeton:admin and jeton:events must be asked for alone", nil)
	}
	return scope, nil
}

// forAdministration reports whether a scope is for the audience of the
// administration, and no other.
func forAdministration(scope string) bool { return scope == AdminScope || scope == EventsScope }

// refreshScope resolves the scope of one refresh: what is asked for must have
// been granted to the session (RFC 6749 §6), and the client must still have it.
func refreshScope(client storage.Client, granted, asked string) (string, error) {
	still := slices.DeleteFunc(strings.Fields(granted), func(s string) bool {
		return !slices.Contains(client.Scopes, s) || (s == AdminScope && !client.Admin)
	})
	if granted != "" && len(still) == 0 {
		return "", fail(InvalidScope, "the client has lost every scope of this grant", nil)
	}
	if asked == "" {
		return strings.Join(still, " "), nil
	}
	scope, err := parseScope(asked)
	if err != nil {
		return "", err
	}
	for _, s := range scope {
		if !slices.Contains(still, s) {
			return "", fail(InvalidScope, "the scope exceeds what was granted", nil)
		}
	}
	return strings.Join(scope, " "), nil
}

// audience is whom the access tokens are for.
func (s Settings) audience(client storage.Client, scope []string) []string {
	switch {
	case slices.ContainsFunc(scope, forAdministration):
		return []string{s.AdminAudience()}
	case len(client.Audience) > 0:
		return client.Audience
	case openClient(client):
		return append(slices.Clone(s.OpenResources), s.Issuer)
	}
	return []string{s.Issuer}
}

// openClient reports whether nobody here has said what the client's tokens are
// for: it described itself.
func openClient(c storage.Client) bool {
	return (c.Document != nil || c.Registration != nil) && len(c.Audience) == 0
}
