package clients

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"jeton/keys"
	"jeton/storage"
)

// The errors of RFC 7591 §3.2.2.
const (
	InvalidRedirectURI          = "invalid_redirect_uri"
	InvalidClientMetadata       = "invalid_client_metadata"
	InvalidSoftwareStatement    = "invalid_software_statement"
	UnapprovedSoftwareStatement = "unapproved_software_statement"
)

// RegistrationError says what is wrong with the metadata in which a client
// describes itself. Its words are for whoever wrote them.
type RegistrationError struct{ Code, Description string }

func (e *RegistrationError) Error() string { return e.Code + ": " + e.Description }

func refuseMetadata(code, format string, args ...any) error {
	return &RegistrationError{code, fmt.Sprintf(format, args...)}
}

// Metadata is how a client describes itself, in the members of RFC 7591 §2 and of
// those that extend it. What it leaves out is the zero value; the defaults come
// with [Metadata.Describe].
type Metadata struct {
	RedirectURIs   []string
	AuthMethod     string
	Grants         []string
	ResponseTypes  []string
	Name           string
	ClientURI      string
	LogoURI        string
	TermsURI       string
	PolicyURI      string
	Contacts       []string
	Scope          string
	JWKS           string // an object, compact
	JWKSURI        string
	SoftwareID     string
	SoftwareVer    string
	Statement      string
	AppType        string
	PostLogoutURIs []string
	BackchannelURI string
	RequirePush    bool
	DPoPBound      bool

	// Sent are all members by their names, those too that mean nothing here: some
	// must not be there in one place, and must be in another.
	Sent map[string]json.RawMessage
}

// ParseMetadata reads the metadata of a client. Members that mean nothing here
// are left alone (RFC 7591 §2), one that stands there twice or is of the wrong
// type is refused; null is as if it was not there (RFC 7592 §2.2). How long
// the text may be is the caller's business. The error is a [*RegistrationError].
func ParseMetadata(text []byte) (Metadata, error) {
	var m Metadata
	if err := keys.CheckObject(text); err != nil {
		return m, refuseMetadata(InvalidClientMetadata, "the metadata: %v", err)
	}
	// By a map, since encoding/json would read Redirect_URIs into redirect_uris.
	if err := json.Unmarshal(text, &m.Sent); err != nil {
		return m, refuseMetadata(InvalidClientMetadata, "the metadata is not JSON")
	}
	for _, member := range []struct {
		name, kind string
		to         any
	}{
		{"redirect_uris", listKind, &m.RedirectURIs},
		{"token_endpoint_auth_method", textKind, &m.AuthMethod},
		{"grant_types", listKind, &m.Grants},
		{"response_types", listKind, &m.ResponseTypes},
		{"client_name", textKind, &m.Name},
		{"client_uri", textKind, &m.ClientURI},
		{"logo_uri", textKind, &m.LogoURI},
		{"tos_uri", textKind, &m.TermsURI},
		{"policy_uri", textKind, &m.PolicyURI},
		{"contacts", listKind, &m.Contacts},
		{"scope", textKind, &m.Scope},
		{"jwks_uri", textKind, &m.JWKSURI},
		{"software_id", textKind, &m.SoftwareID},
		{"software_version", textKind, &m.SoftwareVer},
		{"software_statement", textKind, &m.Statement},
		{"application_type", textKind, &m.AppType},
		{"post_logout_redirect_uris", listKind, &m.PostLogoutURIs},
		{"backchannel_logout_uri", textKind, &m.BackchannelURI},
		{"require_pushed_authorization_requests", "true or false", &m.RequirePush},
		{"dpop_bound_access_tokens", "true or false", &m.DPoPBound},
	} {
		if sent, ok := m.Sent[member.name]; ok && json.Unmarshal(sent, member.to) != nil {
			return m, refuseMetadata(codeOf(member.name), "%s: not %s", member.name, member.kind)
		}
	}
	return m, m.readJWKS()
}

// Own is a member that the server gives and a client repeats, such as client_id;
// ok is false where it is not there or is no string.
func (m Metadata) Own(name string) (value string, ok bool) {
	ok = len(m.Sent[name]) > 0 && json.Unmarshal(m.Sent[name], &value) == nil && value != ""
	return value, ok
}

const (
	textKind = "a string"
	listKind = "a list of strings"
)

func (m *Metadata) readJWKS() error {
	sent := m.Sent["jwks"]
	if len(sent) == 0 || bytes.Equal(sent, []byte("null")) {
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, sent); err != nil || sent[0] != '{' {
		return refuseMetadata(InvalidClientMetadata, "jwks: not an object")
	}
	m.JWKS = b.String()
	return nil
}

// codeOf is the error that belongs to a member.
func codeOf(name string) string {
	if name == "redirect_uris" {
		return InvalidRedirectURI
	}
	return InvalidClientMetadata
}

// Rules are what a client that describes itself may be at most.
type Rules struct {
	Grants      []string
	Scopes      []string
	AuthMethods []string
}

// Describe makes the client what the metadata says, within the rules, and puts
// the defaults in place of what it leaves out (RFC 7591 §2): authorization_code
// with the response type code, client_secret_basic, and all scopes of the rules.
// It replaces all that metadata can say and leaves the rest of the record: id,
// secret, consent, lifetimes. A client that needs a secret is judged as if it
// had one. All that is wrong is in the one error, a [*RegistrationError], and
// then c is unchanged.
func (m Metadata) Describe(c *storage.Client, r Rules) error {
	if err := m.checkStatement(); err != nil {
		return err
	}
	will := *c
	var wrong faults
	m.checkUse(&will, r, &wrong)
	m.checkScope(&will, r, &wrong)
	m.fill(&will)
	judged := will
	if judged.ID == "" {
		judged.ID = "not-chosen-yet"
	}
	if judged.SecretHash = ""; judged.AuthMethod == "" || judged.AuthMethod == storage.AuthBasic || judged.AuthMethod == storage.AuthPost {
		judged.SecretHash = HashSecret("not-made-yet")
	}
	var bad *MetadataError
	if err := Validate(judged); errors.As(err, &bad) {
		wrong = append(wrong, bad.Faults...)
	} else if err != nil {
		return err
	}
	if len(wrong) > 0 {
		code := InvalidClientMetadata
		if slices.ContainsFunc(wrong, func(fault string) bool { return strings.HasPrefix(fault, "redirect_uris") }) {
			code = InvalidRedirectURI
		}
		return &RegistrationError{code, shortened(wrong)}
	}
	*c = will
	return nil
}

// mostTold is how much of an answer may be what the asker has sent.
const mostTold = 1000

func shortened(wrong faults) string {
	told := strings.Join(wrong, "; ")
	if len(told) > mostTold {
		told = strings.ToValidUTF8(told[:mostTold], "") + "..."
	}
	return told
}

// checkStatement refuses software statements (RFC 7591 §2.3): there is nobody
// whose signature under one would count. To pass over it would register the
// client with less than somebody else has vouched for.
func (m Metadata) checkStatement() error {
	if m.Statement == "" {
		return nil
	}
	if _, err := keys.CheckCompact(m.Statement); err != nil {
		return refuseMetadata(InvalidSoftwareStatement, "software_statement: %v", err)
	}
	return refuseMetadata(UnapprovedSoftwareStatement, "software_statement: none is trusted here: leave it out")
}

// checkUse settles grants, response types and authentication, which have to
// fit together (RFC 7591 §2.1).
func (m Metadata) checkUse(c *storage.Client, r Rules, wrong *faults) {
	c.Grants, c.AuthMethod = m.Grants, m.AuthMethod
	if len(c.Grants) == 0 {
		c.Grants = []string{storage.GrantAuthorizationCode}
	}
	for _, grant := range c.Grants {
		if !slices.Contains(r.Grants, grant) && slices.Contains(grantTypes, grant) { // others are found by Validate
			wrong.add("grant_types: %q is not for clients that register themselves; there are %s", grant, strings.Join(r.Grants, ", "))
		}
	}
	if method := AuthMethod(*c); !slices.Contains(r.AuthMethods, method) {
		wrong.add("token_endpoint_auth_method: %q is not one of %s", method, strings.Join(r.AuthMethods, ", "))
	}
	code := slices.Contains(c.Grants, storage.GrantAuthorizationCode)
	if !code && slices.Contains(c.Grants, storage.GrantRefreshToken) {
		wrong.add("grant_types: refresh_token goes with authorization_code: there is nothing else that it would continue")
	}
	for _, kind := range m.ResponseTypes {
		switch {
		case kind != responseCode:
			wrong.add("response_types: %q is not offered; there is %s", kind, responseCode)
		case !code:
			wrong.add("response_types: %s needs the grant type authorization_code", responseCode)
		}
	}
	if code && m.ResponseTypes != nil && len(m.ResponseTypes) == 0 {
		wrong.add("response_types: authorization_code needs %s", responseCode)
	}
	checkOnce("response_types", m.ResponseTypes, wrong)
}

const responseCode = "code"

// AuthMethod is how a client says that it authenticates. One that does not say
// so is told client_secret_basic (RFC 7591 §2), and may send its secret in the
// form as well: libraries in use do so by default.
func AuthMethod(c storage.Client) string { return cmp.Or(c.AuthMethod, storage.AuthBasic) }

// ResponseTypes are those of a client: they follow from its grants.
func ResponseTypes(c storage.Client) []string {
	if slices.Contains(c.Grants, storage.GrantAuthorizationCode) {
		return []string{responseCode}
	}
	return []string{}
}

// checkScope refuses what is not for clients that register themselves, rather
// than to leave it out: a client that will be told invalid_scope at each login
// should not believe that all is well.
func (m Metadata) checkScope(c *storage.Client, r Rules, wrong *faults) {
	// Whatever the rules say, none of these administers.
	allowed := slices.DeleteFunc(slices.Clone(r.Scopes), func(s string) bool { return s == adminScope || s == eventsScope })
	if m.Scope == "" {
		c.Scopes = allowed
		return
	}
	c.Scopes = strings.Fields(m.Scope)
	if strings.Join(c.Scopes, " ") != m.Scope {
		wrong.add("scope: write scope tokens with one space between, and none around")
	}
	if len(c.Scopes) > maxValues {
		return // which is told by Validate
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(allowed, scope) {
			wrong.add("scope: %q is not for clients that register themselves; there are: %s", scope, strings.Join(allowed, " "))
		}
	}
}

// fill takes over what needs no decision.
func (m Metadata) fill(c *storage.Client) {
	c.Name, c.RedirectURIs, c.PostLogoutURIs = m.Name, m.RedirectURIs, m.PostLogoutURIs
	c.ClientURI, c.LogoURI, c.TermsURI, c.PolicyURI, c.Contacts = m.ClientURI, m.LogoURI, m.TermsURI, m.PolicyURI, m.Contacts
	c.SoftwareID, c.SoftwareVersion, c.ApplicationType = m.SoftwareID, m.SoftwareVer, m.AppType
	c.JWKS, c.JWKSURI = m.JWKS, m.JWKSURI
	c.BackchannelLogoutURI, c.RequirePush, c.DPoPBound = m.BackchannelURI, m.RequirePush, m.DPoPBound
	c.CORSOrigins = nil
	if c.Public() {
		c.CORSOrigins = originsOf(c.RedirectURIs)
	}
}

// originsOf are the origins of redirect URIs. Pages of an origin that gets the
// codes of a public client may trade them as well: no member of RFC 7591 says
// so, and a client that lives in a browser needs it.
func originsOf(uris []string) (origins []string) {
	if len(uris) > maxValues {
		return nil // which is told by Validate
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			continue // which is told by Validate
		}
		origin := strings.ToLower(u.Scheme + "://" + u.Host)
		if u.Scheme == "https" {
			origin = strings.TrimSuffix(origin, ":443")
		}
		if u.Scheme == "http" {
			origin = strings.TrimSuffix(origin, ":80")
		}
		if badOrigin(origin) == "" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}
