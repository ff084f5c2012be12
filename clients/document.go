package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"jeton/keys"
	"jeton/storage"
)

// This file judges clients that no operator added: their id is the address of a
// document that says what they are (draft-ietf-oauth-client-id-metadata-document).
// What such a client may ask for beyond that is a setting, which package
// documents adds.

// MostDocument is the most bytes of such a document (§6.6 of the draft).
const MostDocument = 5 << 10

// CheckDocumentID says what is wrong with a client_id that shall be the address
// of a document (§3 of the draft), or nothing. It is compared as it stands and
// called as it stands, so nothing may be in it that somebody on the way would
// write otherwise.
func CheckDocumentID(id string) error {
	if !validID(id) {
		return fmt.Errorf("it is not up to %d characters of printable ASCII without space", maxID)
	}
	u, reason := badURI(id)
	switch {
	case reason != "":
		return errors.New(reason)
	case u.Scheme != "https" || !strings.HasPrefix(id, "https://"):
		return errors.New("it does not begin with https://")
	case u.Hostname() == "" || u.Host != strings.ToLower(u.Host) || strings.HasSuffix(u.Hostname(), ".") || strings.HasSuffix(u.Host, ":") || u.Port() == "443":
		return errors.New("its host is not written in lower case, without a dot at the end and a port that goes without saying")
	case strings.ContainsAny(id, "#"):
		return errors.New("it has a fragment")
	case strings.Trim(u.Path, "/") == "":
		return errors.New("it has no path")
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return errors.New("its path has dot segments")
	}
	return nil
}

// documentGrants are the grant types that such a client may have: a user stands
// behind each.
var documentGrants = []string{storage.GrantAuthorizationCode, storage.GrantRefreshToken}

// document is what is read of one, in the names of RFC 7591 §2.
type document struct {
	ClientID      string          `json:"client_id"`
	Name          string          `json:"client_name"`
	RedirectURIs  []string        `json:"redirect_uris"`
	AuthMethod    string          `json:"token_endpoint_auth_method"`
	GrantTypes    []string        `json:"grant_types"`
	ResponseTypes []string        `json:"response_types"`
	JWKS          json.RawMessage `json:"jwks"`
	JWKSURI       string          `json:"jwks_uri"`
	DPoPBound     bool            `json:"dpop_bound_access_tokens"`
	RequirePush   bool            `json:"require_pushed_authorization_requests"`
}

// ReadDocument makes a client of a document that was found at its address. What
// is wrong is a [*MetadataError], in words for whoever wrote it. Members that
// mean nothing here are passed over, scope among them: what the client may ask
// for is not for it to say.
func ReadDocument(id string, text []byte) (storage.Client, error) {
	if len(text) > MostDocument {
		return storage.Client{}, &MetadataError{[]string{fmt.Sprintf("it is larger than %d KiB", MostDocument>>10)}}
	}
	doc, err := parseDocument(text)
	if err != nil {
		return storage.Client{}, &MetadataError{[]string{err.Error()}}
	}
	var wrong faults
	doc.check(id, &wrong)
	c := storage.Client{
		ID: id, Name: doc.Name, RedirectURIs: doc.RedirectURIs, AuthMethod: doc.AuthMethod, JWKSURI: doc.JWKSURI,
		DPoPBound: doc.DPoPBound, RequirePush: doc.RequirePush,
		// Nobody here knows the client, so it is never let in without a question.
		Consent: storage.ConsentAlways, CORSOrigins: pageOrigins(doc.RedirectURIs), Document: &storage.Document{},
	}
	for _, g := range documentGrants {
		if slices.Contains(doc.GrantTypes, g) {
			c.Grants = append(c.Grants, g)
		}
	}
	if doc.AuthMethod == storage.AuthNone {
		c.JWKSURI = "" // published for something else
	} else if len(doc.JWKS) > 0 {
		var b bytes.Buffer
		json.Compact(&b, doc.JWKS) // it is part of what was parsed
		c.JWKS = b.String()
	}
	var bad *MetadataError
	if errors.As(Validate(c), &bad) {
		wrong = append(wrong, bad.Faults...)
	}
	if len(wrong) > 0 {
		return storage.Client{}, &MetadataError{wrong}
	}
	return c, nil
}

// parseDocument reads the text, and gives what is not said the value that it
// has by RFC 7591 §2. There is one exception: to prove itself by a secret is
// what such a client cannot, so by default it does not prove itself.
func parseDocument(text []byte) (document, error) {
	doc := document{AuthMethod: storage.AuthNone, GrantTypes: []string{storage.GrantAuthorizationCode}, ResponseTypes: []string{"code"}}
	// A map first: encoding/json would read "CLIENT_ID" into client_id.
	var all map[string]json.RawMessage
	if err := keys.CheckObject(text); err != nil {
		return doc, fmt.Errorf("it is not one JSON object: %w", err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return doc, errors.New("it is not one JSON object")
	}
	for _, secret := range []string{"client_secret", "client_secret_expires_at"} { // §4.1 of the draft
		if _, ok := all[secret]; ok {
			return doc, fmt.Errorf("%s: what everybody can read is no secret", secret)
		}
	}
	known := map[string]json.RawMessage{}
	for _, name := range []string{
		"client_id", "client_name", "redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "jwks", "jwks_uri",
		"dpop_bound_access_tokens", "require_pushed_authorization_requests",
	} {
		if value, ok := all[name]; ok && !bytes.Equal(value, []byte("null")) {
			known[name] = value
		}
	}
	b, err := json.Marshal(known)
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return doc, fmt.Errorf("%s: it is not of the type that RFC 7591 gives it", wrong.Field)
	}
	return doc, err
}

// check holds the document to what [Validate] does not ask of all clients.
func (d document) check(id string, wrong *faults) {
	if d.ClientID != id { // §4 of the draft: simple string comparison
		wrong.add("client_id: it is not the address that the document was read from")
	}
	if !slices.Contains(d.GrantTypes, storage.GrantAuthorizationCode) || !slices.Contains(d.ResponseTypes, "code") {
		wrong.add("grant_types: without %s and the response type code there is nothing for it here", storage.GrantAuthorizationCode)
	}
	switch d.AuthMethod {
	case storage.AuthNone:
	case storage.AuthPrivateKeyJWT:
		// Anybody can write a document: none shall make this server call others.
		if d.JWKSURI != "" && originOf(d.JWKSURI) != originOf(id) {
			wrong.add("jwks_uri: it is not at the origin of the client_id")
		}
	default: // §4.1 of the draft: no shared secret
		wrong.add("token_endpoint_auth_method: %q is not one of %s, %s", d.AuthMethod, storage.AuthNone, storage.AuthPrivateKeyJWT)
	}
}

// originOf is scheme, host and port of an address.
func originOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// pageOrigins are the origins of the pages that a client takes its codes on:
// those pages redeem them. Nothing is answered to them that a cookie opened.
func pageOrigins(redirectURIs []string) (origins []string) {
	for _, uri := range redirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" {
			continue
		}
		origin := strings.TrimSuffix(u.Scheme+"://"+strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
		if badOrigin(origin) == "" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}
