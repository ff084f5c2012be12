package clients

import (
	"net/url"
	"slices"
	"strings"

	"jeton/storage"
)

// checkDelivery holds a client whose tokens travel in cookies to what makes that
// safe: only pages need it, which keep no secret, and only those of origins that
// are named get any.
func checkDelivery(c storage.Client, wrong *faults) {
	if c.Delivery != "" && !c.ByCookie() {
		wrong.add("delivery: %q is not one of %s, %s", c.Delivery, storage.DeliveryBody, storage.DeliveryCookie)
	}
	if c.CookieSameSite != "" && c.CookieSameSite != storage.SameSiteStrict && c.CookieSameSite != storage.SameSiteLax {
		wrong.add("cookie_same_site: %q is not one of %s, %s", c.CookieSameSite, storage.SameSiteStrict, storage.SameSiteLax)
	}
	if c.CookieName != "" && !cookieName(c.CookieName) {
		wrong.add("cookie_name: %q is not up to 40 letters, digits, dots, hyphens and underscores; prefixes such as __Host- come by themselves", c.CookieName)
	}
	if c.CookiePath != "" && !cookiePath(c.CookiePath) {
		wrong.add("cookie_path: %q is not a path such as /api", c.CookiePath)
	}
	if c.CookieRefreshPath != "" && !cookiePath(c.CookieRefreshPath) {
		wrong.add("cookie_refresh_path: %q is not a path such as /session", c.CookieRefreshPath)
	}
	if c.CookieDomain != "" && !cookieDomain(c.CookieDomain) {
		wrong.add("cookie_domain: %q is not a domain such as example.com, in lower case and without a dot before it", c.CookieDomain)
	}
	if !c.ByCookie() {
		return
	}
	if !c.Public() {
		wrong.add("delivery: cookies are for pages in a browser, which keep no secret: set public; a backend takes its tokens from the body and keeps them to itself")
	}
	if slices.Contains(c.Grants, storage.GrantDeviceCode) {
		wrong.add("grant_types: a device without a browser has no cookies: leave out %s", storage.GrantDeviceCode)
	}
	if len(c.CORSOrigins) == 0 {
		wrong.add("cors_origins: name the origins whose pages may log in and refresh, such as https://app.example.com; that of this server counts only when it is named")
	}
	if slices.ContainsFunc(c.Scopes, func(s string) bool { return s == adminScope || s == eventsScope }) {
		wrong.add("scope: a token in a cookie never administers: leave out %s", adminScope)
	}
}

func cookieName(s string) bool {
	return len(s) <= 40 && !strings.HasPrefix(s, "__") && only(s, "-_.")
}

func cookieDomain(s string) bool {
	return len(s) <= 253 && strings.Contains(s, ".") && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") && s == strings.ToLower(s) && only(s, "-.") &&
		strings.Trim(s, "0123456789.") != "" // an address is no domain
}

// cookiePath keeps to characters that need no escaping: browsers compare paths
// as they stand.
func cookiePath(s string) bool {
	return len(s) <= 255 && strings.HasPrefix(s, "/") && !strings.Contains(s, "//") && only(s, "/-_.~")
}

// only reports whether s has letters, digits and the characters of more alone.
func only(s, more string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(more, r))
	})
}

// SameCookies reports whether a browser would keep cookies of two clients under one
// name, as far as the clients tell: where their pages are at one host, or the access
// token of one goes to the host of the other. Pages at hosts of their own may well
// have the same names, unless they call this server's host, which does not show here.
func SameCookies(a, b storage.Client) bool {
	if a.ID == b.ID || !a.ByCookie() || !b.ByCookie() || a.CookieName != b.CookieName {
		return false
	}
	// The prefix is a part of the name.
	access, refresh := bare(a) == bare(b), (a.CookieRefreshPath == "/") == (b.CookieRefreshPath == "/")
	return slices.ContainsFunc(hostsOf(a), func(host string) bool {
		return slices.ContainsFunc(hostsOf(b), func(other string) bool {
			return host == other && (access || refresh) || access && (within(host, b.CookieDomain) || within(other, a.CookieDomain))
		})
	})
}

// bare reports whether browsers take a client's access cookie as a __Host- cookie.
func bare(c storage.Client) bool {
	return c.CookieDomain == "" && (c.CookiePath == "" || c.CookiePath == "/")
}

// hostsOf are those of a client's pages, without ports: cookies know none.
func hostsOf(c storage.Client) (hosts []string) {
	for _, origin := range c.CORSOrigins {
		if u, err := url.Parse(origin); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

func within(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
