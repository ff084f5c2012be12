package wellknown

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"jeton/storage"
)

// Config are the facts that the metadata tell. Whatever is listed has to work,
// and whatever works should be listed.
type Config struct {
	// Issuer is the identifier, byte for byte as it stands in tokens. The
	// URLs of all endpoints begin with it.
	Issuer string

	Token         Endpoint
	Revocation    Endpoint
	Introspection Endpoint
	// GlobalRevocation is of draft-parecki-oauth-global-token-revocation §5; its
	// methods may be access token types too.
	GlobalRevocation Endpoint

	// Authorization is the path of the authorization endpoint, Push that of pushed
	// requests; without the first there is nothing of what follows it.
	Authorization string
	Push          string
	RequirePush   bool
	// Device is the path of the device authorization endpoint.
	Device        string
	ResponseTypes []string
	ResponseModes []string
	ACRs          []string
	// Userinfo and EndSession are paths of OpenID Connect, Claims what may be
	// learnt of a user.
	Userinfo   string
	EndSession string
	// Backchannel says that clients are told of ended sessions.
	Backchannel bool
	Claims      []string

	// DocumentClients says that a client_id may be the address of a document that
	// describes the client.
	DocumentClients bool
	// Resources are the APIs of the server itself.
	Resources []Resource
	// Registration is the path at which clients register themselves, if they may.
	Registration string

	// StatusLists is the path that lists the status lists, if there is one.
	StatusLists string

	// Grants are the grant types that /token takes.
	Grants []string
	// AssertionAlgs are the algorithms of private_key_jwt assertions.
	AssertionAlgs []string
	// SignedIntrospection says that /introspect answers with a JWT to whoever asks
	// for one.
	SignedIntrospection bool
	// DPoPAlgs are those of proofs of possession.
	DPoPAlgs []string
	// Scopes may be empty: then nothing is said of them.
	Scopes []string
	// ServiceDocumentation is a URL for developers, if there is one.
	ServiceDocumentation string
}

// Endpoint is a path below the issuer, such as "/token", and how clients
// authenticate there. One without a path does not exist.
type Endpoint struct {
	Path        string
	AuthMethods []string
}

// Metadata is the document of RFC 8414 §2. Empty members are left out (§3.2)
// except for response_types_supported, which has to be there: it is empty
// while there is no authorization endpoint.
type Metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint,omitempty"`
	PushEndpoint          string `json:"pushed_authorization_request_endpoint,omitempty"`
	DeviceEndpoint        string `json:"device_authorization_endpoint,omitempty"` // RFC 8628 §4
	TokenEndpoint         string `json:"token_endpoint,omitempty"`
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	JWKSURI               string `json:"jwks_uri"`

	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported,omitempty"`
	ChallengeMethods       []string `json:"code_challenge_methods_supported,omitempty"`
	GrantTypesSupported    []string `json:"grant_types_supported,omitempty"`

	TokenEndpointAuthMethods         []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthAlgs            []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethods []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`

	// ResponseIssuer is of RFC 9207 §3, RequirePush of RFC 9126 §5.
	ResponseIssuer                      bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	RequirePush                         bool     `json:"require_pushed_authorization_requests,omitempty"`
	GlobalRevocationEndpoint            string   `json:"global_token_revocation_endpoint,omitempty"`
	GlobalRevocationEndpointAuthMethods []string `json:"global_token_revocation_endpoint_auth_methods_supported,omitempty"`

	// IntrospectionSigningAlgs is of RFC 9701 §7.
	IntrospectionSigningAlgs []string `json:"introspection_signing_alg_values_supported,omitempty"`

	DPoPAlgs []string `json:"dpop_signing_alg_values_supported,omitempty"` // RFC 9449 §5.1

	// DocumentClients is of draft-ietf-oauth-client-id-metadata-document §5.
	DocumentClients bool `json:"client_id_metadata_document_supported,omitempty"`
	// ProtectedResources is of RFC 9728 §4.
	ProtectedResources []string `json:"protected_resources,omitempty"`

	// StatusListAggregation is of Token Status List §9.
	StatusListAggregation string `json:"status_list_aggregation_endpoint,omitempty"`
	ServiceDocumentation  string `json:"service_documentation,omitempty"`
}

// Discovery is what OpenID Connect Discovery §3 and RP-Initiated Logout §2.1 tell
// beside. Libraries take the algorithms listed here as those of all tokens
// signed with the key set, so they are those of the keys.
type Discovery struct {
	Metadata
	UserinfoEndpoint         string   `json:"userinfo_endpoint,omitempty"`
	EndSessionEndpoint       string   `json:"end_session_endpoint,omitempty"`
	SubjectTypesSupported    []string `json:"subject_types_supported"`
	IDTokenSigningAlgorithms []string `json:"id_token_signing_alg_values_supported"`
	ACRs                     []string `json:"acr_values_supported,omitempty"`
	ClaimTypes               []string `json:"claim_types_supported,omitempty"`
	Claims                   []string `json:"claims_supported,omitempty"`
	Backchannel              bool     `json:"backchannel_logout_supported,omitempty"`
	BackchannelSession       bool     `json:"backchannel_logout_session_supported,omitempty"`
	// What is absent would count as the default of its member.
	ClaimsParameter     bool `json:"claims_parameter_supported"`
	RequestParameter    bool `json:"request_parameter_supported"`
	RequestURIParameter bool `json:"request_uri_parameter_supported"`
}

// KeySetPath is where the key set is, below the issuer.
const KeySetPath = "/.well-known/jwks.json"

func (c Config) metadata() Metadata {
	m := Metadata{
		Issuer:                c.Issuer,
		AuthorizationEndpoint: c.url(c.Authorization),
		PushEndpoint:          c.url(c.Push),
		DeviceEndpoint:        c.url(c.Device),
		TokenEndpoint:         c.url(c.Token.Path),
		RevocationEndpoint:    c.url(c.Revocation.Path),
		IntrospectionEndpoint: c.url(c.Introspection.Path),
		RegistrationEndpoint:  c.url(c.Registration),
		JWKSURI:               c.url(KeySetPath),

		ScopesSupported:        c.Scopes,
		ResponseTypesSupported: append([]string{}, c.ResponseTypes...),
		ResponseModesSupported: c.ResponseModes,
		GrantTypesSupported:    c.Grants,

		TokenEndpointAuthMethods:         c.Token.AuthMethods,
		TokenEndpointAuthAlgs:            c.algs(c.Token),
		RevocationEndpointAuthMethods:    c.Revocation.AuthMethods,
		RevocationEndpointAuthAlgs:       c.algs(c.Revocation),
		IntrospectionEndpointAuthMethods: c.Introspection.AuthMethods,
		IntrospectionEndpointAuthAlgs:    c.algs(c.Introspection),

		GlobalRevocationEndpoint:            c.url(c.GlobalRevocation.Path),
		GlobalRevocationEndpointAuthMethods: c.GlobalRevocation.AuthMethods,

		DPoPAlgs: c.DPoPAlgs,

		StatusListAggregation: c.url(c.StatusLists),
		ServiceDocumentation:  c.ServiceDocumentation,
		RequirePush:           c.RequirePush,
		DocumentClients:       c.DocumentClients,
	}
	for _, r := range c.Resources {
		m.ProtectedResources = append(m.ProtectedResources, c.url(r.Path))
	}
	if c.Authorization != "" { // PKCE and iss come with it, for everyone
		m.ChallengeMethods, m.ResponseIssuer = []string{"S256"}, true
	}
	return m
}

func (c Config) discovery(algs []string) Discovery {
	d := Discovery{
		Metadata:                 c.signed(c.metadata(), algs),
		UserinfoEndpoint:         c.url(c.Userinfo),
		EndSessionEndpoint:       c.url(c.EndSession),
		SubjectTypesSupported:    []string{"public"},
		IDTokenSigningAlgorithms: algs,
		ACRs:                     c.ACRs,
		Claims:                   c.Claims,
		Backchannel:              c.Backchannel,
		BackchannelSession:       c.Backchannel,
	}
	if len(c.Claims) > 0 {
		d.ClaimTypes = []string{"normal"}
	}
	return d
}

// signed adds what follows from the keys.
func (c Config) signed(m Metadata, algs []string) Metadata {
	if c.SignedIntrospection {
		m.IntrospectionSigningAlgs = algs
	}
	return m
}

// url is where a path of this issuer is.
func (c Config) url(path string) string {
	if path == "" {
		return ""
	}
	return strings.TrimSuffix(c.Issuer, "/") + path
}

// algs are told only where an assertion can be sent.
func (c Config) algs(e Endpoint) []string {
	if slices.Contains(e.AuthMethods, storage.AuthPrivateKeyJWT) {
		return c.AssertionAlgs
	}
	return nil
}

var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// basePath is the path of the issuer without its trailing slash (RFC 8414
// §3.1). It is kept to characters that no router and no proxy rewrites.
func (c Config) basePath() (string, error) {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil:
		return "", fmt.Errorf("wellknown: the issuer is not a URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil:
		return "", fmt.Errorf("wellknown: the issuer %q is not a URL such as https://auth.example.com", c.Issuer)
	case strings.ContainsAny(c.Issuer, "?#"):
		return "", fmt.Errorf("wellknown: the issuer %q has a query or a fragment: leave it out (RFC 8414 §2)", c.Issuer)
	}
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	if !plainPath.MatchString(base) {
		return "", fmt.Errorf("wellknown: the path of the issuer %q may have letters, digits and -._~ between single slashes", c.Issuer)
	}
	return base, nil
}

// check refuses facts that contradict each other.
func (c Config) check() error {
	faults := c.checkAuthorization()
	for _, e := range []Endpoint{c.Token, c.Revocation, c.Introspection, c.GlobalRevocation} {
		switch {
		case e.Path == "" && len(e.AuthMethods) > 0:
			faults = append(faults, errors.New("an endpoint without a path has authentication methods"))
		case e.Path != "" && !plainPath.MatchString(e.Path):
			faults = append(faults, fmt.Errorf("%q is not the path of an endpoint", e.Path))
		case e.Path != "" && len(e.AuthMethods) == 0: // absent means client_secret_basic
			faults = append(faults, fmt.Errorf("%s lacks its authentication methods", e.Path))
		case slices.Contains(e.AuthMethods, storage.AuthPrivateKeyJWT) && len(c.AssertionAlgs) == 0:
			faults = append(faults, fmt.Errorf("%s takes private_key_jwt, and no algorithms are given", e.Path))
		}
	}
	if (len(c.Grants) == 0) != (c.Token.Path == "") { // absent means authorization_code and implicit
		faults = append(faults, errors.New("a token endpoint and its grants go together"))
	}
	if slices.Contains(c.AssertionAlgs, "none") {
		faults = append(faults, errors.New("none is not a signing algorithm"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("wellknown: the metadata would not be true: %w", err)
	}
	return nil
}

// checkAuthorization is check for what browsers come to.
func (c Config) checkAuthorization() (faults []error) {
	for _, path := range []string{c.Authorization, c.Push, c.Device, c.Userinfo, c.EndSession, c.Registration} {
		if path != "" && !plainPath.MatchString(path) {
			faults = append(faults, fmt.Errorf("%q is not the path of an endpoint", path))
		}
	}
	for _, r := range c.Resources {
		if !plainPath.MatchString(r.Path) || r.Path == "" {
			faults = append(faults, fmt.Errorf("%q is not the path of an API", r.Path))
		}
	}
	if c.DocumentClients && c.Authorization == "" {
		faults = append(faults, errors.New("clients come by documents to an authorization endpoint alone"))
	}
	if (c.Authorization == "") != (len(c.ResponseTypes) == 0) {
		faults = append(faults, errors.New("an authorization endpoint and its response types go together"))
	}
	if (c.Device == "") == slices.Contains(c.Grants, storage.GrantDeviceCode) {
		faults = append(faults, errors.New("a device authorization endpoint and its grant go together"))
	}
	return faults
}
