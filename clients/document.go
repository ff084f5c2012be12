package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"jeton/storage"
)

// This file judges clients that no operator added: their id is the address of a
// document that says what they are (draft-ietf-oauth-client-id-metadata-document).
// What such a client may ask for beyond that is a setting, which package
// documents adds.

// MostDocument is the most bytes of such a document (§6.6 of the draft), which
// whoever fetches one holds it to.
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

// ReadDocument makes a client of a document that was found at its address. A
// document is written for all servers at once, so grants and response types that
// are not for such clients are passed over, and so is its scope: what it may ask
// for is not for it to say. The error is in words for whoever wrote it.
func ReadDocument(id string, text []byte) (storage.Client, error) {
	m, err := ParseMetadata(text)
	if err != nil {
		return storage.Client{}, inWords(err)
	}
	if err := m.checkDocument(id); err != nil {
		return storage.Client{}, err
	}
	if m.AuthMethod == "" { // what it cannot have is a secret
		m.AuthMethod = storage.AuthNone
	}
	if m.AuthMethod == storage.AuthNone {
		m.JWKS, m.JWKSURI = "", "" // published for something else
	}
	m.Grants = slices.DeleteFunc(m.Grants, func(g string) bool { return !slices.Contains(documentGrants, g) })
	m.ResponseTypes, m.Scope = nil, ""
	m.PostLogoutURIs, m.BackchannelURI = nil, "" // it is not told, and sends nobody anywhere
	c := storage.Client{
		// Nobody here knows the client, so it is never let in without a question.
		ID: id, Consent: storage.ConsentAlways, Document: &storage.Document{},
	}
	err = m.Describe(&c, Rules{Grants: documentGrants, AuthMethods: []string{storage.AuthNone, storage.AuthPrivateKeyJWT}})
	return c, inWords(err)
}

// inWords leaves out the code of RFC 7591, which is for registration.
func inWords(err error) error {
	if refused, ok := errors.AsType[*RegistrationError](err); ok {
		return errors.New(refused.Description)
	}
	return err
}

// checkDocument holds the metadata to what is true of documents alone.
func (m Metadata) checkDocument(id string) error {
	var itself string
	if sent := m.Sent["client_id"]; json.Unmarshal(sent, &itself) != nil || itself != id { // §4 of the draft: simple string comparison
		return errors.New("client_id: it is not the address that the document was read from")
	}
	for _, secret := range []string{"client_secret", "client_secret_expires_at"} { // §4.1 of the draft
		if m.Sent[secret] != nil {
			return fmt.Errorf("%s: what everybody can read is no secret", secret)
		}
	}
	code := len(m.Grants) == 0 || slices.Contains(m.Grants, storage.GrantAuthorizationCode)
	if !code || len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, responseCode) {
		return fmt.Errorf("grant_types: without %s and the response type code there is nothing for it here", storage.GrantAuthorizationCode)
	}
	// Anybody can write a document: none shall make this server call others.
	if m.JWKSURI != "" && m.AuthMethod == storage.AuthPrivateKeyJWT && originOf(m.JWKSURI) != originOf(id) {
		return errors.New("jwks_uri: it is not at the origin of the client_id")
	}
	return nil
}

// originOf is scheme, host and port of an address.
func originOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
