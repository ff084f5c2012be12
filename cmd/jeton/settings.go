package main

import (
	"io"
	"slices"

	"github.com/spf13/pflag"

	"jeton/storage"
	"jeton/storage/redis"
)

// Settings is everything that can be set, in one place. Each field has one row
// in [table], which names its flag; its variable and its key in the file
// follow from that name.
type Settings struct {
	// What every command needs to find the server or its store.
	Config        path
	Store         text
	MasterKeyFile path
	AdminSocket   path
	MarkFile      path
	JSON          yesno

	// How a store on Redis is reached and written to.
	RedisPrefix               text
	RedisPasswordFile         path
	RedisSentinelPasswordFile path
	RedisCAFile               path
	RedisWaitReplicas         number
	RedisAllowEviction        yesno

	// Who is served, and where.
	Listen         text
	Issuer         text
	TLSCert        path
	TLSKey         path
	Insecure       yesno
	MetricsListen  text
	TrustedProxies networks
	MaxConnections number
	ShutdownDelay  storage.Duration

	// Tokens and sessions.
	AccessTokenTTL     storage.Duration
	RefreshTokenTTL    storage.Duration
	SessionTTL         storage.Duration
	RefreshRetryWindow storage.Duration
	MaxSessions        number
	DPoPNonce          yesno

	ClientSecretOverlap storage.Duration

	// Signing in at the pages.
	SignInIdleTTL  storage.Duration
	SignInTTL      storage.Duration
	DeviceCodeTTL  storage.Duration
	DeviceInterval storage.Duration
	ConsoleMaxAge  storage.Duration
	ServiceName    text
	ScopeWords     wording
	RequirePAR     yesno
	ResetLinkTTL   storage.Duration

	// Mail to users.
	SMTPHost         text
	SMTPPort         number
	SMTPTLS          choice
	SMTPUser         text
	SMTPPasswordFile path
	SMTPCAFile       path
	MailFrom         text

	// Clients that no operator added.
	ClientDocumentHosts  list
	ClientDocumentScopes list
	OpenClientResources  list

	// Clients that register themselves.
	ClientRegistration    choice
	RegistrationScopes    list
	RegistrationUnusedTTL storage.Duration
	RegistrationMaxUnused number

	// What follows from what happens.
	OnPasswordChange     choice
	OnPasswordReset      choice
	OnRolesLost          choice
	OnRolesGained        choice
	OnLogout             choice
	OnReuse              choice
	OnClientSecretChange choice
	OnClientNarrowed     choice
	OnAccountDisabled    choice
	OnAccountCompromised choice
	OnClientCompromised  choice

	// Keys.
	SigningAlg       choice
	RSABits          number
	KeyPromotionWait storage.Duration

	// Passwords.
	PasswordMinLength number
	PasswordBlocklist path
	KDFConcurrency    number
	KDFMemory         number
	KDFTime           number

	// Calls to others, and logs.
	OutboundAllow networks
	EventHistory  storage.Duration
	LogFormat     choice
	LogLevel      choice
	LogRequests   choice
	LogQuiet      number

	TracesEndpoint text
	TracesOneIn    number
	TracesCallers  networks

	// Clients and Users are what the file asks to be made sure of.
	Clients []entry
	Users   []entry
	// Webhooks are those that the file names.
	Webhooks []entry

	// origin says, by name, where a setting came from: "--listen",
	// "JETON_LISTEN", "jeton.yaml:3", or nothing for a default.
	origin map[string]string
	// flags are what was typed, to read everything again by.
	flags *pflag.FlagSet
	// printMail takes the mails of a demonstration.
	printMail io.Writer
	// waiting is told when a store does not answer at the start.
	waiting func(cause error)
	// masterKey is JETON_MASTER_KEY.
	masterKey string
}

// setting is one row of the table.
type setting struct {
	name, def, help string
	// everywhere: the flag belongs to every command, not only to those that
	// serve or show the configuration.
	everywhere bool
	// secret: the value may hold a password, which is never shown.
	secret bool
	value  func(*Settings) pflag.Value
}

// table lists all settings. Flags, variables, file, `config print` and
// `config check` read it; nothing else has to know a setting's name.
func table() []setting {
	return slices.Concat(places(), tokens(), signIn(), openClients(), registration(), mails(), reactions(), others())
}

// places are the settings of what is served, where, and how commands find it.
func places() []setting {
	return []setting{
		{name: "config", everywhere: true, help: "the configuration file (YAML)",
			value: func(s *Settings) pflag.Value { return &s.Config }},
		{name: "store", def: "sqlite:jeton-data/jeton.db", everywhere: true, secret: true, help: "where everything is kept: sqlite:FILE, or redis://HOST and its kin",
			value: func(s *Settings) pflag.Value { return &s.Store }},
		{name: "master-key-file", everywhere: true, help: "the key that seals all other keys, base64 of 32 bytes (default: JETON_MASTER_KEY, else master.key beside the SQLite file)",
			value: func(s *Settings) pflag.Value { return &s.MasterKeyFile }},
		{name: "admin-socket", everywhere: true, help: "where commands reach the server (default: admin.sock beside the SQLite file)",
			value: func(s *Settings) pflag.Value { return &s.AdminSocket }},
		{name: "redis-prefix", def: "jeton", everywhere: true, help: "how the names of all keys in Redis begin",
			value: func(s *Settings) pflag.Value { return &s.RedisPrefix }},
		{name: "redis-password-file", everywhere: true, help: "the password of Redis; read again for each connection",
			value: func(s *Settings) pflag.Value { return &s.RedisPasswordFile }},
		{name: "redis-sentinel-password-file", everywhere: true, help: "the password of the Sentinels",
			value: func(s *Settings) pflag.Value { return &s.RedisSentinelPasswordFile }},
		{name: "redis-ca-file", everywhere: true, help: "certificates (PEM) that vouch for Redis, in place of the system's",
			value: func(s *Settings) pflag.Value { return &s.RedisCAFile }},
		{name: "redis-wait-replicas", def: "0", everywhere: true, help: "replicas that must have a change before it is acknowledged",
			value: func(s *Settings) pflag.Value { return &s.RedisWaitReplicas }},
		{name: "redis-allow-eviction", def: "false", everywhere: true, help: "use a Redis that removes keys when its memory is full",
			value: func(s *Settings) pflag.Value { return &s.RedisAllowEviction }},
		{name: "mark-file", everywhere: true, help: "where it is kept how far the store has come, so that an old copy is not taken for it (default: beside the SQLite file, with .mark)",
			value: func(s *Settings) pflag.Value { return &s.MarkFile }},
		{name: "json", def: "false", everywhere: true, help: "answer in JSON",
			value: func(s *Settings) pflag.Value { return &s.JSON }},

		{name: "listen", def: "127.0.0.1:9096", help: "the address to serve, :0 takes a free port",
			value: func(s *Settings) pflag.Value { return &s.Listen }},
		{name: "issuer", help: "the address by which clients know this server (default: made from --listen)",
			value: func(s *Settings) pflag.Value { return &s.Issuer }},
		{name: "tls-cert", help: "certificate chain (PEM) to serve https; read again when it changes",
			value: func(s *Settings) pflag.Value { return &s.TLSCert }},
		{name: "tls-key", help: "private key (PEM) of --tls-cert",
			value: func(s *Settings) pflag.Value { return &s.TLSKey }},
		{name: "insecure", def: "false", help: "allow http beyond this machine: only behind a proxy that speaks https",
			value: func(s *Settings) pflag.Value { return &s.Insecure }},
		{name: "metrics-listen", def: "127.0.0.1:9097", help: "the address of /metrics, or off",
			value: func(s *Settings) pflag.Value { return &s.MetricsListen }},
		{name: "trusted-proxies", help: "address ranges whose X-Forwarded-For is believed",
			value: func(s *Settings) pflag.Value { return &s.TrustedProxies }},
		{name: "max-connections", def: "10000", help: "connections served at once",
			value: func(s *Settings) pflag.Value { return &s.MaxConnections }},
		{name: "shutdown-delay", def: "0s", help: "how long an ending server still serves while /readyz says no, for load balancers to turn away",
			value: func(s *Settings) pflag.Value { return &s.ShutdownDelay }},
	}
}

// tokens are the settings of tokens and sessions.
func tokens() []setting {
	return []setting{
		{name: "access-token-ttl", def: "30m", help: "how long an access token is valid",
			value: func(s *Settings) pflag.Value { return &s.AccessTokenTTL }},
		{name: "refresh-token-ttl", def: "15d", help: "how long a session lives without being refreshed",
			value: func(s *Settings) pflag.Value { return &s.RefreshTokenTTL }},
		{name: "session-ttl", def: "90d", help: "how long a session lives at most",
			value: func(s *Settings) pflag.Value { return &s.SessionTTL }},
		{name: "refresh-retry-window", def: "0s", help: "how long the last spent refresh token still returns its successor: 10s for browsers and phones, 0s for strict single use",
			value: func(s *Settings) pflag.Value { return &s.RefreshRetryWindow }},
		{name: "max-sessions", def: "100", help: "live sessions of one user at one client",
			value: func(s *Settings) pflag.Value { return &s.MaxSessions }},
		{name: "dpop-nonce", def: "false", help: "take only DPoP proofs with a nonce of this server, so that none can be made in advance",
			value: func(s *Settings) pflag.Value { return &s.DPoPNonce }},
		{name: "client-secret-overlap", def: "0s", help: "how long the old secret of a client works beside a new one, up to 90d",
			value: func(s *Settings) pflag.Value { return &s.ClientSecretOverlap }},
	}
}

// signIn are the settings of the pages.
func signIn() []setting {
	return []setting{
		{name: "signin-idle-ttl", def: "2h", help: "how long a browser stays signed in at the pages without being used",
			value: func(s *Settings) pflag.Value { return &s.SignInIdleTTL }},
		{name: "signin-ttl", def: "12h", help: "how long a browser stays signed in at the pages at most",
			value: func(s *Settings) pflag.Value { return &s.SignInTTL }},
		{name: "device-code-ttl", def: "10m", help: "how long a device without a browser waits for its user to type its code",
			value: func(s *Settings) pflag.Value { return &s.DeviceCodeTTL }},
		{name: "device-interval", def: "5s", help: "how long such a device waits before it asks again",
			value: func(s *Settings) pflag.Value { return &s.DeviceInterval }},
		{name: "console-max-age", def: "15m", help: "how long after a sign-in the console changes things without asking for the password again",
			value: func(s *Settings) pflag.Value { return &s.ConsoleMaxAge }},
		{name: "service-name", def: "Jeton", help: "what the pages call this server",
			value: func(s *Settings) pflag.Value { return &s.ServiceName }},
		{name: "scope-words", help: "what scopes mean, for people: read=Read your notes; write=Change them",
			value: func(s *Settings) pflag.Value { return &s.ScopeWords }},
		{name: "require-par", def: "false", help: "refuse authorization requests that were not pushed (RFC 9126)",
			value: func(s *Settings) pflag.Value { return &s.RequirePAR }},
		{name: "reset-link-ttl", def: "30m", help: "how long a mailed link to set a new password counts",
			value: func(s *Settings) pflag.Value { return &s.ResetLinkTTL }},
	}
}

// others are the settings of keys, passwords, calls and logs.
func others() []setting {
	return []setting{
		{name: "signing-alg", def: "RS256", help: "how access tokens are signed",
			value: func(s *Settings) pflag.Value {
				s.SigningAlg.of = []string{"RS256", "ES256", "PS256", "EdDSA"}
				return &s.SigningAlg
			}},
		{name: "rsa-bits", def: "2048", help: "size of new RSA keys: 2048, 3072 or 4096",
			value: func(s *Settings) pflag.Value { return &s.RSABits }},
		{name: "key-promotion-wait", def: "1h", help: "how long a rotation waits for verifiers that fetch the key set and have not fetched the next key, 0s for not at all",
			value: func(s *Settings) pflag.Value { return &s.KeyPromotionWait }},

		{name: "password-min-length", def: "15", help: "characters of a new password; below 15 (never below 8) only with a second factor",
			value: func(s *Settings) pflag.Value { return &s.PasswordMinLength }},
		{name: "password-blocklist", help: "a file of refused passwords, one a line",
			value: func(s *Settings) pflag.Value { return &s.PasswordBlocklist }},
		{name: "kdf-concurrency", def: "0", help: "passwords hashed at once, 0 for the number of cores",
			value: func(s *Settings) pflag.Value { return &s.KDFConcurrency }},
		{name: "kdf-memory", def: "19456", help: "KiB of memory that hashing a password takes (argon2id m)",
			value: func(s *Settings) pflag.Value { return &s.KDFMemory }},
		{name: "kdf-time", def: "2", help: "passes over that memory (argon2id t)",
			value: func(s *Settings) pflag.Value { return &s.KDFTime }},

		{name: "outbound-allow", help: "private address ranges that may be called: a client's document, jwks_uri and backchannel_logout_uri, a webhook",
			value: func(s *Settings) pflag.Value { return &s.OutboundAllow }},
		{name: "event-history", def: "7d", help: "how long events can be looked at in the console, and by users those of theirs; 0s keeps none",
			value: func(s *Settings) pflag.Value { return &s.EventHistory }},
		{name: "log-format", def: "text", help: "how logs are written",
			value: func(s *Settings) pflag.Value { s.LogFormat.of = []string{"text", "json"}; return &s.LogFormat }},
		{name: "log-level", def: "info", help: "the least level that is logged",
			value: func(s *Settings) pflag.Value {
				s.LogLevel.of = []string{"debug", "info", "warn", "error"}
				return &s.LogLevel
			}},
		{name: "log-requests", def: "all", help: "which requests are logged at the level info",
			value: func(s *Settings) pflag.Value { s.LogRequests.of = []string{"all", "failed"}; return &s.LogRequests }},
		{name: "log-quiet", def: "100", help: "log one in so many successful answers of key set, documents, status lists and health; 0 for none",
			value: func(s *Settings) pflag.Value { return &s.LogQuiet }},
		{name: "traces-endpoint", help: "the OpenTelemetry collector (OTLP over HTTP) that traces go to, such as http://127.0.0.1:4318",
			value: func(s *Settings) pflag.Value { return &s.TracesEndpoint }},
		{name: "traces-one-in", def: "100", help: "trace one in so many requests that no caller of --traces-callers has put into a trace; 0 for none",
			value: func(s *Settings) pflag.Value { return &s.TracesOneIn }},
		{name: "traces-callers", help: "address ranges of callers whose traces (traceparent) are continued (default: nobody's)",
			value: func(s *Settings) pflag.Value { return &s.TracesCallers }},
	}
}

// shown is the value as it may be printed.
func (row setting) shown(s *Settings) string {
	v := row.value(s).String()
	if row.secret {
		v = redis.Redact(v)
	}
	return v
}
