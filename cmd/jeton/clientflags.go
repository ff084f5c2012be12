package main

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jeton/storage"
)

// clientFlags are what can be said of a client on the command line.
type clientFlags struct {
	name, authMethod, jwks, jwksURI               string
	grants, scopes, audience, redirects, origins  list
	postLogout                                    list
	consent, backchannel                          string
	delivery, cookieName, sameSite                string
	cookiePath, refreshPath, cookieDomain         string
	bindAgent, bindAddress                        string
	public, introspect, admin, secretStdin        bool
	requirePush, withoutID                        bool
	accessTTL, refreshTTL, sessionTTL, retryAfter string
	maxSessions                                   string
	passwordNetworks, passwordScopes              list
	passwordSunset                                string
	exchangeAudience                              list
	dpopBound                                     bool
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the name that people read")
	flags.Var(&f.grants, "grant", "a grant type: authorization_code, device_code, refresh_token, client_credentials, token-exchange, password; repeat or separate by commas")
	flags.Var(&f.scopes, "scope", "a scope the client may ask for; repeat or separate by commas")
	flags.Var(&f.audience, "audience", "an API its tokens are for (default: the issuer); repeat or separate by commas")
	flags.BoolVar(&f.dpopBound, "dpop-bound", false, "it must send a DPoP proof with each token request")
	flags.Var(&f.exchangeAudience, "exchange-audience", "a name under which tokens reach it as an API: it may exchange those; repeat or separate by commas")
	flags.BoolVar(&f.public, "public", false, "the client has nothing to prove itself with (browser, phone)")
	flags.StringVar(&f.authMethod, "auth-method", "", "client_secret_basic, client_secret_post, private_key_jwt or none (default: basic or post)")
	flags.StringVar(&f.jwks, "jwks", "", "a file with the public keys of a client that signs its requests (private_key_jwt)")
	flags.StringVar(&f.jwksURI, "jwks-uri", "", "the address of those keys, instead of a file")
	flags.Var(&f.redirects, "redirect-uri", "an address to send browsers back to; repeat or separate by commas")
	flags.Var(&f.postLogout, "post-logout-redirect-uri", "an address to send browsers to after signing out; repeat or separate by commas")
	flags.StringVar(&f.backchannel, "backchannel-logout-uri", "", "an https address that is told when a session of its users ends")
	flags.Var(&f.origins, "cors-origin", "a web origin that may call from a browser; repeat or separate by commas")
	flags.StringVar(&f.delivery, "delivery", "", "how it gets its tokens: body, or cookie, by way of /session/token (default: body)")
	flags.StringVar(&f.cookieName, "cookie-name", "", "its cookies are called NAME-access and NAME-refresh (default: access and refresh)")
	flags.StringVar(&f.sameSite, "cookie-same-site", "", "strict or lax (default: strict)")
	flags.StringVar(&f.cookiePath, "cookie-path", "", "the path of the cookie with the access token (default: /)")
	flags.StringVar(&f.refreshPath, "cookie-refresh-path", "", "the path of the cookie with the refresh token (default: /session of this server)")
	flags.StringVar(&f.cookieDomain, "cookie-domain", "", "let all hosts of this domain have its cookies (default: this host alone)")
	flags.StringVar(&f.bindAgent, "bind-agent", "", "off, or family or exact, then what follows from a refresh by another browser: :observe, :step_up, :enforce or :end (default: family:observe if it is public, else off)")
	flags.StringVar(&f.bindAddress, "bind-address", "", "off, or prefix or exact, then likewise for another address (default: prefix:observe if it is public, else off)")
	flags.StringVar(&f.consent, "consent", "", "when users are asked for consent: remembered, always, or never (the client is your own) (default: remembered)")
	flags.BoolVar(&f.requirePush, "require-par", false, "its authorization requests must be pushed (RFC 9126)")
	flags.BoolVar(&f.withoutID, "refresh-without-id-token", false, "its refreshes are answered without an ID token, and cost one signature less")
	flags.BoolVar(&f.introspect, "introspect", false, "the client may introspect tokens that are not its own")
	flags.BoolVar(&f.admin, "admin", false, "the client may ask for the scope jeton:admin")
	flags.StringVar(&f.accessTTL, "access-token-ttl", "", "how long its access tokens are valid (default: the server's)")
	flags.StringVar(&f.refreshTTL, "refresh-token-ttl", "", "how long its sessions live without being refreshed (default: the server's)")
	flags.StringVar(&f.sessionTTL, "session-ttl", "", "how long its sessions live at most (default: the server's)")
	flags.StringVar(&f.retryAfter, "refresh-retry-window", "", "how long a spent refresh token still returns its successor (default: the server's)")
	flags.StringVar(&f.maxSessions, "max-sessions", "", "live sessions of one user (default: the server's)")
	flags.Var(&f.passwordNetworks, "password-networks", "address ranges from which it may use the password grant (default: all)")
	flags.Var(&f.passwordScopes, "password-scope", "the most that a login by the password grant gets (default: all scopes of the client)")
	flags.StringVar(&f.passwordSunset, "password-sunset", "", "the day on which the password grant ends for it, such as 2027-01-31")
}

// body is what was said, in the members of the admin API. What was set to
// nothing is null, which clears it.
func (f *clientFlags) body(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{}
	var err error
	var proofs []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if slices.Contains([]string{"public", "secret-stdin", "jwks", "jwks-uri"}, flag.Name) && flag.Value.String() != "false" && flag.Value.String() != "" {
			proofs = append(proofs, "--"+flag.Name)
		}
		if err == nil {
			err = f.member(flag, body)
		}
	})
	if len(proofs) > 1 {
		return nil, usagef("a client proves itself in one way: give only one of %s", strings.Join(proofs, ", "))
	}
	return body, err
}

// clientMembers are the flags whose member has another name, or whose value is
// a plain text.
var clientMembers = map[string]string{
	"name": "client_name", "auth-method": "token_endpoint_auth_method", "jwks-uri": "jwks_uri", "scope": "scope",
	"grant": "grant_types", "audience": "audience", "redirect-uri": "redirect_uris", "cors-origin": "cors_origins",
	"public": "public", "introspect": "introspect", "admin": "admin", "jwks": "jwks", "max-sessions": "max_sessions",
	"access-token-ttl": "access_token_ttl", "refresh-token-ttl": "refresh_token_ttl", "session-ttl": "session_ttl",
	"refresh-retry-window": "refresh_retry_window", "consent": "consent", "backchannel-logout-uri": "backchannel_logout_uri", "post-logout-redirect-uri": "post_logout_redirect_uris", "require-par": "require_pushed_authorization_requests", "refresh-without-id-token": "refresh_without_id_token", "password-networks": "password_grant_networks",
	"bind-agent": "bind_agent", "bind-address": "bind_address",
	"delivery": "delivery", "cookie-name": "cookie_name", "cookie-same-site": "cookie_same_site", "cookie-path": "cookie_path",
	"cookie-refresh-path": "cookie_refresh_path", "cookie-domain": "cookie_domain",
	"password-scope": "password_grant_scope", "password-sunset": "password_grant_sunset",
	"exchange-audience": "exchange_audience",
	"dpop-bound":        "dpop_bound_access_tokens",
}

// member puts one flag into the body.
func (f *clientFlags) member(flag *pflag.Flag, body map[string]any) error {
	name, ok := clientMembers[flag.Name]
	if !ok {
		return nil // one that every command has
	}
	value := flag.Value.String()
	if value == "" {
		body[name] = nil
		return nil
	}
	switch flag.Name {
	case "scope":
		body[name] = strings.Join(f.scopes, " ")
	case "password-scope":
		body[name] = strings.Join(f.passwordScopes, " ")
	case "grant":
		body[name] = grantTypes(f.grants)
	case "audience", "redirect-uri", "post-logout-redirect-uri", "cors-origin", "password-networks", "exchange-audience":
		body[name] = []string(*flag.Value.(*list))
	case "public", "introspect", "admin", "require-par", "dpop-bound", "refresh-without-id-token":
		body[name] = value == "true"
	case "jwks":
		set, err := readJWKS(value)
		if err != nil {
			return err
		}
		body[name] = set
	case "max-sessions":
		var n number
		if err := n.Set(value); err != nil {
			return usagef("--max-sessions: %v", err)
		}
		body[name] = int(n)
	case "access-token-ttl", "refresh-token-ttl", "session-ttl", "refresh-retry-window":
		d, err := storage.ParseDuration(value)
		if err != nil {
			return usagef("--%s: %v", flag.Name, err)
		}
		body[name] = d
	default:
		body[name] = value
	}
	return nil
}

// grantTypes writes out the names that are too long to type.
func grantTypes(given list) []string {
	all := make([]string, len(given))
	for i, g := range given {
		switch all[i] = g; g {
		case "token-exchange":
			all[i] = storage.GrantTokenExchange
		case "device_code":
			all[i] = storage.GrantDeviceCode
		}
	}
	return all
}

// orEmpty is the list as JSON has it: an array, never null.
func orEmpty(l list) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// pageSize asks for the largest pages of a listing.
func pageSize() url.Values { return url.Values{"limit": {"1000"}} }
