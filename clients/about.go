package clients

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"jeton/storage"
)

// The kinds of applications (OpenID Connect Registration §2).
const (
	ApplicationWeb    = "web"
	ApplicationNative = "native"
)

// checkAbout judges what a client says of itself for people to read. It is
// short text and https addresses, whoever wrote it.
func checkAbout(c storage.Client, wrong *faults) {
	for _, uri := range []struct{ name, value string }{
		{"client_uri", c.ClientURI}, {"logo_uri", c.LogoURI}, {"tos_uri", c.TermsURI}, {"policy_uri", c.PolicyURI},
	} {
		if reason := badPageURI(uri.value); uri.value != "" && reason != "" {
			wrong.add("%s: %s", uri.name, reason)
		}
	}
	for _, contact := range c.Contacts {
		if contact == "" || !shortText(contact) {
			wrong.add("contacts: %q is not up to 255 bytes of printable text", contact)
		}
	}
	checkOnce("contacts", c.Contacts, wrong)
	if !shortText(c.SoftwareID) {
		wrong.add("software_id: not up to 255 bytes of printable text")
	}
	if !shortText(c.SoftwareVersion) {
		wrong.add("software_version: not up to 255 bytes of printable text")
	}
	switch c.ApplicationType {
	case "", ApplicationNative:
	case ApplicationWeb:
		for _, uri := range c.RedirectURIs {
			if !strings.HasPrefix(strings.ToLower(uri), "https://") {
				wrong.add("redirect_uris: %q: the application_type web takes https only; a program on the device of its user is %s", uri, ApplicationNative)
			}
		}
	default:
		wrong.add("application_type: %q is not one of %s, %s", c.ApplicationType, ApplicationWeb, ApplicationNative)
	}
}

// badPageURI holds for an address that people may open.
func badPageURI(s string) string {
	u, reason := badURI(s)
	switch {
	case reason != "":
		return reason
	case u.Scheme != "https" || u.Hostname() == "":
		return "only https is taken"
	}
	return ""
}

// shortText reports whether s is up to 255 bytes that a terminal and a page show
// as they are.
func shortText(s string) bool {
	return len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
