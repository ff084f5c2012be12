package server

import (
	"cmp"

	"jeton/pages"
	"jeton/storage"
)

// clientSetting is a setting of a client as a form has it. Its name is that of the
// member which the admin API takes: so a fault that begins with it stands beside
// the field, and the form says nothing that a PATCH could not.
type clientSetting struct {
	name, label, hint string
	kind              settingKind
	// options are what can be chosen or ticked.
	options []pages.Option
}

// settingKind is how a setting is written in a form.
type settingKind int

const (
	asLine   settingKind = iota
	asWords              // with one space between
	asLines              // a list, one a line
	asNumber             // empty for none
	asJSON               // an object
	asChoice             // one of some
	asTick               // yes or no
	asTicks              // a list of some of a few, each a field of its own
)

// settingGroup are settings that belong together.
type settingGroup struct {
	legend, words string
	settings      []clientSetting
	// rare ones are folded, unless one of them is set or wrong.
	rare bool
}

// clientGroups are all the settings that can be changed here, which are all but
// `admin`, for operators on the machine itself, and `public`, which
// token_endpoint_auth_method says too.
var clientGroups = []settingGroup{
	{"What it is", "", []clientSetting{
		{name: "client_name", label: "Name", hint: "What users read when they are asked."},
		{name: "scope", label: "Scope", hint: "All it may ask for, with spaces between.", kind: asWords},
		{name: "audience", label: "Audience", hint: "The APIs that its tokens are for, one a line. None: the issuer.", kind: asLines},
		{name: "exchange_audience", label: "Audience of tokens it may exchange", hint: "Beside its own id, one a line.", kind: asLines},
	}, false},
	{"Grants", "How it comes to tokens.", []clientSetting{{name: "grant_types", kind: asTicks, options: []pages.Option{
		{Value: storage.GrantAuthorizationCode, Words: "authorization_code: users sign in at the pages of this server"},
		{Value: storage.GrantRefreshToken, Words: "refresh_token: sessions go on without the user"},
		{Value: storage.GrantClientCredentials, Words: "client_credentials: a program for itself"},
		{Value: storage.GrantDeviceCode, Words: "device_code: devices without a keyboard"},
		{Value: storage.GrantTokenExchange, Words: "token-exchange: an API that calls another one for the user"},
		{Value: storage.GrantPassword, Words: "password: it is shown the user's password itself"},
	}}}, false},
	{"How it proves itself", "Who goes over to another way loses what there was of the one before.", []clientSetting{
		{name: "token_endpoint_auth_method", label: "It proves itself with", kind: asChoice, options: []pages.Option{
			{Value: "", Words: "a secret, in the header or the body"},
			{Value: storage.AuthBasic, Words: "a secret, in the header alone (client_secret_basic)"},
			{Value: storage.AuthPost, Words: "a secret, in the body alone (client_secret_post)"},
			{Value: storage.AuthPrivateKeyJWT, Words: "a key of its own (private_key_jwt)"},
			{Value: storage.AuthNone, Words: "nothing: it is public (none)"},
		}},
		{name: "jwks_uri", label: "Address of its key set", hint: "For private_key_jwt: this or the keys themselves."},
		{name: "jwks", label: "Its key set", hint: "JSON (RFC 7517), of public keys alone.", kind: asJSON},
		{name: "dpop_bound_access_tokens", label: "It always proves that it has a key (DPoP)", kind: asTick},
		{name: "introspect", label: "It may look at the tokens of others", hint: "For an API that asks this server instead of verifying by itself.", kind: asTick},
	}, false},
	{"Addresses", "", []clientSetting{
		{name: "redirect_uris", label: "Redirect URIs", hint: "Where users come back to after signing in, one a line.", kind: asLines},
		{name: "post_logout_redirect_uris", label: "After signing out", hint: "Where users may be sent then, one a line.", kind: asLines},
		{name: "cors_origins", label: "Origins", hint: "Whose pages may call this server from a browser, one a line.", kind: asLines},
		{name: "backchannel_logout_uri", label: "Told of logouts at", hint: "An https address that learns of sessions that ended."},
	}, false},
	{"Asking the user", "", []clientSetting{
		{name: "consent", label: "Consent", kind: asChoice, options: []pages.Option{
			{Value: storage.ConsentRemembered, Words: "asked for once, and remembered"},
			{Value: storage.ConsentAlways, Words: "asked for each time"},
			{Value: storage.ConsentNever, Words: "never asked for: it is your own"},
		}},
		{name: "require_pushed_authorization_requests", label: "It must push its requests first (PAR)", kind: asTick},
		{name: "refresh_without_id_token", label: "Its refreshes are answered without an ID token", kind: asTick},
	}, true},
	{"How long", "Durations such as 10s, 30m, 12h or 15d. What is empty is the server's.", []clientSetting{
		{name: "access_token_ttl", label: "Access tokens live"},
		{name: "refresh_token_ttl", label: "Sessions live unused"},
		{name: "session_ttl", label: "Sessions live at most"},
		{name: "refresh_retry_window", label: "Retry window", hint: "For how long a lost answer may be asked for again."},
		{name: "max_sessions", label: "Sessions of one user at most", kind: asNumber},
	}, true},
	{"Another browser or address", "What happens when a session is refreshed from elsewhere.", []clientSetting{
		{name: "bind_agent", label: "Browser", hint: "off; or family or exact, and after it :observe, :step_up, :enforce or :end."},
		{name: "bind_address", label: "Address", hint: "off; or prefix or exact, likewise."},
	}, true},
	{"Cookies", "For pages in a browser, which then have no token that a script could read.", []clientSetting{
		{name: "delivery", label: "Tokens travel", kind: asChoice, options: []pages.Option{
			{Value: storage.DeliveryBody, Words: "in the body of the answer"}, {Value: storage.DeliveryCookie, Words: "in cookies"},
		}},
		{name: "cookie_same_site", label: "SameSite", kind: asChoice, options: []pages.Option{
			{Value: "", Words: "strict, as usual"}, {Value: storage.SameSiteStrict, Words: "strict"}, {Value: storage.SameSiteLax, Words: "lax"},
		}},
		{name: "cookie_name", label: "Name of the cookies"},
		{name: "cookie_domain", label: "Domain", hint: "None: this host alone."},
		{name: "cookie_path", label: "Path of the access token"},
		{name: "cookie_refresh_path", label: "Path of the refresh token"},
	}, true},
	{"The password grant", "Fences around it, while it is still needed.", []clientSetting{
		{name: "password_grant_networks", label: "Networks it may be used from", hint: "Address ranges, one a line. None: from everywhere.", kind: asLines},
		{name: "password_grant_scope", label: "The most that such a login gets", hint: "With spaces between. None: all of the scope.", kind: asWords},
		{name: "password_grant_sunset", label: "It ends on", hint: "A date such as 2027-01-31, or a moment."},
	}, true},
}

// documentSettings are those that can be set of a client which says the others
// itself, in its document.
var documentSettings = map[string]bool{
	"access_token_ttl": true, "refresh_token_ttl": true, "session_ttl": true, "refresh_retry_window": true, "max_sessions": true,
	"bind_agent": true, "bind_address": true,
}

// named is what people call the setting.
func (s clientSetting) named() string { return cmp.Or(s.label, "Grants") }
