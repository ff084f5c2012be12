package storage

import "time"

// User is a person who can log in. It lives in [UserPartition] of Subject.
//
// Every change of the record changes its version, and every commit that mints
// a token for the user checks that version: so a login or refresh cannot
// finish on a truth that an acknowledged change has ended.
type User struct {
	// Subject is the opaque `sub`: set once, never reused, never the name.
	Subject string `json:"sub"`
	// Username is the login name as it was given; compare by its normal form.
	Username string `json:"username"`
	// PasswordHash is a PHC string, empty when the user has no password.
	PasswordHash    string    `json:"password_hash,omitempty"`
	Roles           []string  `json:"roles"`
	Claims          Claims    `json:"claims,omitzero"`
	Disabled        bool      `json:"disabled,omitempty"`
	Created         time.Time `json:"created"`
	Updated         time.Time `json:"updated"`
	PasswordChanged time.Time `json:"password_changed,omitzero"`
	// Epoch ends all sessions at once: one that began under an older epoch is
	// dead, whether or not its own record says so yet.
	Epoch uint64 `json:"epoch,omitempty"`
	// AccessEpoch does the same to access tokens alone: those minted under an
	// older one are revoked, and their sessions go on.
	AccessEpoch uint64 `json:"access_epoch,omitempty"`
}

// Claims are what a user's ID tokens and /userinfo tell beside who it is, in the
// names of OpenID Connect Core §5.1.
type Claims struct {
	Name          string `json:"name,omitempty"`
	GivenName     string `json:"given_name,omitempty"`
	FamilyName    string `json:"family_name,omitempty"`
	Nickname      string `json:"nickname,omitempty"`
	Picture       string `json:"picture,omitempty"`
	Website       string `json:"website,omitempty"`
	Locale        string `json:"locale,omitempty"`
	Zoneinfo      string `json:"zoneinfo,omitempty"`
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
}

// The grant types a client may list (RFC 6749, in the names of RFC 7591 §2).
const (
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628
)

// When the page that asks for consent is shown.
const (
	ConsentRemembered = "remembered" // until the user has said yes; the default
	ConsentAlways     = "always"     // every time
	ConsentNever      = "never"      // never: the client belongs to whoever runs the server
)

// The ways a client authenticates at /token, /revoke and /introspect
// (token_endpoint_auth_method of RFC 7591 §2).
const (
	AuthNone          = "none"
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Client is a program registered to ask for tokens. It lives in
// [ClientPartition] of ID.
type Client struct {
	ID   string `json:"client_id"`
	Name string `json:"client_name,omitempty"`
	// SecretHash is "sha256:" and the SHA-256 in hex of the secret, made or given
	// by hand (32 characters or more).
	SecretHash string `json:"secret_hash,omitempty"`
	// FormerSecretHash is the secret of before, likewise, which works beside the
	// new one until FormerSecretUntil.
	FormerSecretHash  string    `json:"former_secret_hash,omitempty"`
	FormerSecretUntil time.Time `json:"former_secret_until,omitzero"`
	// AuthMethod is one of the Auth constants; empty lets a confidential
	// client use Basic or post as it likes.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// JWKS is the client's public key set, JWKSURI the place to fetch it from.
	JWKS    string `json:"jwks,omitempty"`
	JWKSURI string `json:"jwks_uri,omitempty"`

	Grants   []string `json:"grant_types"`
	Scopes   []string `json:"scopes,omitempty"`
	Audience []string `json:"audience,omitempty"`

	// PasswordNetworks are the address ranges from which the client may use the
	// password grant, PasswordScopes the most that such a login gets, and
	// PasswordSunset is when the grant ends for it. Empty ones fence nothing in.
	PasswordNetworks []string  `json:"password_grant_networks,omitempty"`
	PasswordScopes   []string  `json:"password_grant_scopes,omitempty"`
	PasswordSunset   time.Time `json:"password_grant_sunset,omitzero"`

	// DPoPBound refuses token requests without a proof of possession (RFC 9449
	// §5.2).
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`
	// ExchangeAudience are the audiences under which tokens reach this client as
	// an API, beside its id: it may exchange those (RFC 8693).
	ExchangeAudience []string `json:"exchange_audience,omitempty"`

	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// PostLogoutURIs are where browsers may be sent after signing out.
	PostLogoutURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// BackchannelLogoutURI is told of sessions that end (OpenID Connect
	// Back-Channel Logout §2.2).
	BackchannelLogoutURI string   `json:"backchannel_logout_uri,omitempty"`
	CORSOrigins          []string `json:"cors_origins,omitempty"`

	// Delivery is how tokens reach the client: DeliveryCookie, or empty for the
	// body of the answer.
	Delivery string `json:"delivery,omitempty"`
	// What its cookies are like; empty ones take what package server names.
	CookieName        string `json:"cookie_name,omitempty"`
	CookieSameSite    string `json:"cookie_same_site,omitempty"`
	CookiePath        string `json:"cookie_path,omitempty"`
	CookieRefreshPath string `json:"cookie_refresh_path,omitempty"`
	CookieDomain      string `json:"cookie_domain,omitempty"`

	// BindAgent and BindAddress say what happens when a refresh comes from
	// another browser or address than the one before, as package clients reads it.
	BindAgent   string `json:"bind_agent,omitempty"`
	BindAddress string `json:"bind_address,omitempty"`

	// Consent is one of the Consent constants, empty for ConsentRemembered.
	Consent string `json:"consent,omitempty"`
	// RequirePush refuses authorization requests that were not pushed (RFC 9126
	// §6).
	RequirePush bool `json:"require_pushed_authorization_requests,omitempty"`

	// RefreshWithoutID answers the client's refreshes without an ID token, which
	// costs a signature each (OpenID Connect Core §12.2).
	RefreshWithoutID bool `json:"refresh_without_id_token,omitempty"`

	// What the client says of itself for people to read (RFC 7591 §2). None of the
	// addresses is ever called.
	ClientURI string   `json:"client_uri,omitempty"`
	LogoURI   string   `json:"logo_uri,omitempty"`
	TermsURI  string   `json:"tos_uri,omitempty"`
	PolicyURI string   `json:"policy_uri,omitempty"`
	Contacts  []string `json:"contacts,omitempty"`
	// SoftwareID and SoftwareVersion name the program of which this is one
	// registration, ApplicationType is native, web, or empty where it said neither
	// (OpenID Connect Registration §2).
	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`
	ApplicationType string `json:"application_type,omitempty"`

	// Introspect lets the client introspect tokens that are not its own.
	Introspect bool `json:"introspect,omitempty"`
	// Admin lets the client ask for the scope jeton:admin.
	Admin bool `json:"admin,omitempty"`

	// Lifetimes; zero takes the server's. RefreshRetryWindow is a pointer
	// because zero (strict single use) is a choice of its own.
	AccessTokenTTL     Duration  `json:"access_token_ttl,omitempty"`
	RefreshTokenTTL    Duration  `json:"refresh_token_ttl,omitempty"`
	SessionTTL         Duration  `json:"session_ttl,omitempty"`
	RefreshRetryWindow *Duration `json:"refresh_retry_window,omitempty"`
	// MaxSessions is the most live sessions per user; zero takes the server's.
	MaxSessions int `json:"max_sessions,omitempty"`

	// Document is there for a client that no operator added: its id is the address
	// of a document that describes it.
	Document *Document `json:"document,omitempty"`
	// Registration is there for a client that has registered itself (RFC 7591).
	Registration *Registration `json:"registration,omitempty"`

	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	// Epoch does for a client what [User.Epoch] does for a user, AccessEpoch
	// what [User.AccessEpoch] does.
	Epoch       uint64 `json:"epoch,omitempty"`
	AccessEpoch uint64 `json:"access_epoch,omitempty"`
}

// Public reports whether the client has nothing to authenticate with.
func (c Client) Public() bool { return c.AuthMethod == AuthNone }

// Session is one login of one user through one client on one device. It lives
// in [UserPartition] of Subject and is changed in place: nothing is stored per
// token.
type Session struct {
	ID       string   `json:"sid"`
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	Audience []string `json:"aud"`
	// Resource are the APIs that the session was authorized for (RFC 8707);
	// empty for all of the client's.
	Resource []string `json:"resource,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	// Browser is that of the [SignIn] that the session began in, empty where
	// there was none. Signing out there ends it.
	Browser string `json:"browser,omitempty"`
	// Notify has the client told when the session ends.
	Notify bool `json:"notify,omitempty"`

	Created time.Time `json:"created"`
	// AuthTime is when the user proved who they are; refresh keeps it.
	AuthTime time.Time `json:"auth_time"`
	// End is the absolute end, which no rotation moves (RFC 9700 §4.14.2).
	End time.Time `json:"end"`

	UserEpoch   uint64 `json:"user_epoch,omitempty"`
	ClientEpoch uint64 `json:"client_epoch,omitempty"`
	SystemEpoch uint64 `json:"system_epoch,omitempty"`
	// AccessEpoch is the user's (the upper half) and the client's under which the
	// live access tokens were minted.
	AccessEpoch uint64 `json:"access_epoch,omitempty"`

	// Generation counts rotations; a refresh token names exactly one.
	Generation uint64 `json:"generation"`
	// RotID is the random id of the attempt that made this generation. It
	// tells "our write arrived" from "another's did" even when both wrote the
	// same second.
	RotID     []byte    `json:"rot_id"`
	PrevRotID []byte    `json:"prev_rot_id,omitempty"`
	Rotated   time.Time `json:"rotated"`
	// UnconfirmedUntil accepts the predecessor again, in strict mode too,
	// because the node that rotated knows that nobody got the answer.
	UnconfirmedUntil time.Time `json:"unconfirmed_until,omitzero"`

	// Refresh is the refresh token of this generation, Access the access
	// token that was answered with it: enough to answer a retry again.
	Refresh IssuedRefresh `json:"refresh"`
	Access  IssuedAccess  `json:"access"`
	// Live are the indexes of all access tokens that have not expired,
	// Access among them while it lives.
	Live []LiveAccess `json:"live,omitempty"`

	// Secret keys the inner MAC of the session's refresh tokens; sealed under
	// the master key.
	Secret []byte `json:"secret"`

	// Device is where the last rotation came from; RetryStreak counts
	// successive generations that were also retried from elsewhere, the last
	// of them RetryGeneration. RetryTold is the last of which an event told where
	// its retry came from.
	Device Device `json:"device"`
	// BoundAgent and BoundAddress are MACs of the whole user agent and address,
	// under Secret, where the client wants these compared.
	BoundAgent      string `json:"bound_agent,omitempty"`
	BoundAddress    string `json:"bound_address,omitempty"`
	RetryStreak     int    `json:"retry_streak,omitempty"`
	RetryGeneration uint64 `json:"retry_generation,omitempty"`
	RetryTold       uint64 `json:"retry_told,omitempty"`

	// Thumbprint is that of the key without which the refresh tokens of a public
	// client are worth nothing (RFC 9449 §5).
	Thumbprint string `json:"jkt,omitempty"`

	Ended *Ended `json:"ended,omitempty"`
}

// IssuedRefresh is what a refresh token says beside the session's own facts.
// AccessID and AccessExpires are of the access token that was first answered
// with it.
type IssuedRefresh struct {
	KeyID         string    `json:"kid"`
	Issued        time.Time `json:"iat"`
	Expires       time.Time `json:"exp"`
	AccessID      string    `json:"at_jti,omitempty"`
	AccessExpires time.Time `json:"at_exp,omitzero"`
}

// IssuedAccess is what an access token says beside the session's own facts.
type IssuedAccess struct {
	KeyID   string    `json:"kid"`
	ID      string    `json:"jti"`
	Issued  time.Time `json:"iat"`
	Expires time.Time `json:"exp"`
	Scope   string    `json:"scope,omitempty"`
	Roles   []string  `json:"roles,omitempty"`
	// Thumbprint is that of the key it is bound to, empty for none (RFC 9449 §6).
	Thumbprint string `json:"jkt,omitempty"`
}

// LiveAccess is an access token that may still be shown to an API.
type LiveAccess struct {
	ID      string    `json:"jti"`
	Expires time.Time `json:"exp"`
	// ClientID is whom it was issued to where that is not the session's client: by
	// a token exchange.
	ClientID string `json:"client_id,omitempty"`
}

// Device is what is kept of where a request came from: enough to recognise
// one's own devices, too little to follow a person.
type Device struct {
	// Agent is browser and system family in words, such as "Firefox on Linux".
	Agent string `json:"agent,omitempty"`
	// Network is the address cut to /24 or /48.
	Network string `json:"network,omitempty"`
}

// Ended says that a session is over.
type Ended struct {
	At time.Time `json:"at"`
	// Reason is one of the Reason constants, By who did it: `sub` of a user,
	// `client:ID`, `operator` or `server`; Note what they said.
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`
}

// Why a session ended.
const (
	ReasonRevoked         = "revoked"          // by its client, RFC 7009
	ReasonOperator        = "operator"         // by hand
	ReasonReuse           = "reuse"            // a spent refresh token came back
	ReasonLogout          = "logout"           // an application told of it
	ReasonPasswordChanged = "password_changed" // by the user
	ReasonPasswordReset   = "password_reset"   // by somebody else
	ReasonRolesChanged    = "roles_changed"    //
	ReasonUserDisabled    = "user_disabled"    //
	ReasonClientDisabled  = "client_disabled"  //
	ReasonClientChanged   = "client_changed"   // it lost a scope or an audience
	ReasonSessionLimit    = "session_limit"    // a newer login took its place
	ReasonLostWrite       = "lost_write"       // the store had forgotten a rotation
	ReasonCodeReplay      = "code_replay"      // its authorization code came back
	ReasonSignedOut       = "signed_out"       // in the browser it began in
	ReasonConsentRevoked  = "consent_revoked"  // the application was disconnected from the user
	ReasonUser            = "user"             // by hand, at the pages of the account
	ReasonUserDeleted     = "user_deleted"
	ReasonClientDeleted   = "client_deleted"
	ReasonStoreRestored   = "store_restored" // a backup was put back that does not know what became of it
	ReasonSecretChanged   = "client_secret_changed"
	ReasonCompromised     = "account_compromised" // an application told of it
	ReasonLeaked          = "client_compromised"  // likewise
	ReasonBinding         = "binding"             // its token came from another browser or address, and the client said so
	ReasonGlobal          = "global_revocation"   // asked for by Global Token Revocation
)

// SigningKey is one key of the ring. Which of them signs follows from the
// times alone, so that all nodes agree: of the keys of one use that are active
// the youngest is current, older ones are retired, later ones are next.
type SigningKey struct {
	ID  string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	// Sealed is the private or secret key, sealed under the master key and
	// bound to ID, Use and Alg.
	Sealed []byte `json:"sealed"`
	// Public is the public JWK, empty for refresh keys.
	Public string `json:"public,omitempty"`
	// Imported says that an operator gave it: the configured algorithm does not
	// replace it while it waits.
	Imported  bool      `json:"imported,omitempty"`
	Created   time.Time `json:"created"`
	Published time.Time `json:"published"`
	// Activates is when it begins to sign; zero for a key that waits for its
	// predecessor to be rotated out.
	Activates time.Time `json:"activates,omitzero"`
	// Removes is when a retired key leaves the ring; zero while it is needed.
	Removes time.Time `json:"removes,omitzero"`
	// Gated says that Activates is the latest: it signs once all verifiers that
	// are known have fetched it.
	Gated bool `json:"gated,omitzero"`
}

// The kinds of rows.
const (
	KindUser    = "user"
	KindName    = "name"
	KindClient  = "client"
	KindSession = "session"
	KindRevoked = "revoked"
	KindBlock   = "block"
	KindList    = "list"
	KindKey     = "key"
	KindRing    = "ring"
	KindEvent   = "event"
	KindUsedJTI = "jti"
	KindReport  = "report"
	KindSystem  = "system"
	KindIssuer  = "issuer" // under which the store was last served
	KindLease   = "lease"

	KindDelivery     = "delivery"
	KindWebhookState = "webhook"

	KindKeyReaders = "keyreaders" // who fetches the key set from one process

	KindInitialToken = "initial"
	KindUnused       = "unused"
)
