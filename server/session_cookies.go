package server

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// mostCookieValue is the longest token that a cookie can carry: browsers drop
// one whose name and value have more than 4096 bytes, silently (RFC 6265bis
// §5.6), and a name has up to 58.
const mostCookieValue = 4096 - 64

// accessCookie is the cookie with a client's access token, without its value.
func (s *Server) accessCookie(c storage.Client) http.Cookie {
	return s.tokenCookie(c, "access", cmp.Or(c.CookiePath, "/"), c.CookieDomain)
}

// refreshCookie is the one with its refresh token. It goes to no other host, and
// as a rule only to /session, where alone it is read.
func (s *Server) refreshCookie(c storage.Client) http.Cookie {
	return s.tokenCookie(c, "refresh", cmp.Or(c.CookieRefreshPath, s.base+"/session"), "")
}

// tokenCookie gives a cookie the strongest prefix that browsers allow for it:
// __Host- also keeps other hosts of the domain from planting one (RFC 6265bis
// §4.1.3). Without https, which only a trial on one machine goes without, there
// is neither prefix nor Secure.
func (s *Server) tokenCookie(c storage.Client, name, path, domain string) http.Cookie {
	if c.CookieName != "" {
		name = c.CookieName + "-" + name
	}
	switch {
	case s.https && path == "/" && domain == "":
		name = "__Host-" + name
	case s.https:
		name = "__Secure-" + name
	}
	sameSite := http.SameSiteStrictMode
	if c.CookieSameSite == storage.SameSiteLax {
		sameSite = http.SameSiteLaxMode
	}
	return http.Cookie{Name: name, Path: path, Domain: domain, Secure: s.https, HttpOnly: true, SameSite: sameSite}
}

// sure reports whether browsers keep other hosts from planting a cookie.
func sure(c http.Cookie) bool { return strings.HasPrefix(c.Name, "__Host-") }

// giveCookies hands the tokens over, for as long as they live.
func (s *Server) giveCookies(w http.ResponseWriter, c storage.Client, resp grants.Response) {
	setToken(w, s.accessCookie(c), resp.AccessToken, resp.ExpiresIn)
	setToken(w, s.refreshCookie(c), resp.RefreshToken, resp.RefreshExpiresIn)
}

// setToken makes a cookie of a token. One without a token removes it: the same
// name, path and domain, with nothing.
func setToken(w http.ResponseWriter, cookie http.Cookie, token string, life time.Duration) {
	cookie.Value, cookie.MaxAge = token, int(life/time.Second)
	if token == "" || cookie.MaxAge <= 0 {
		cookie.Value, cookie.MaxAge = "", -1
	}
	http.SetCookie(w, &cookie)
}

// heldBy is what the browser holds of a client, for who goes on with it.
func (s *Server) heldBy(r *http.Request, c storage.Client) (h grants.Held, err error) {
	if h.Access, err = cookieValue(r, s.accessCookie(c).Name); err != nil {
		return h, err
	}
	h.Refresh, err = cookieValue(r, s.refreshCookie(c).Name)
	return h, err
}

// jarOf is all that the browser sent under the names of a client, for a logout.
func (s *Server) jarOf(r *http.Request, c storage.Client) (j grants.Jar, err error) {
	if j.Access, err = cookieValues(r, s.accessCookie(c).Name); err != nil {
		return j, err
	}
	j.Refresh, err = cookieValues(r, s.refreshCookie(c).Name)
	return j, err
}

// cookieValue is what the browser holds under a name. Two of one name are an
// attack or an accident, for another host of the domain can plant one that goes
// first; neither is believed.
func cookieValue(r *http.Request, name string) (string, error) {
	sent := r.CookiesNamed(name)
	switch {
	case len(sent) == 0:
		return "", nil
	case len(sent) > 1:
		return "", badRequest("there is more than one cookie of the name " + name + ": another host of this domain may have set one")
	case len(sent[0].Value) > mostCookieValue:
		return "", badRequest("the cookie " + name + " is larger than any of this server")
	}
	return sent[0].Value, nil
}

// mostPlanted is how many cookies of one name a logout looks at. Browsers send those
// of longer paths first, and older ones before younger ones, so a host next door
// can have its own go first: three by path for each domain that the two have in
// common (/session, /session/, /session/revoke), twice where the browser keeps
// some apart by the page that they were set in.
const mostPlanted = 16

// cookieValues is what the browser holds under a name, whoever set it, without what
// is empty or no cookie of this server can be. Of more than are looked at the one
// that counts may be the last: nobody is told to be logged out by the others.
func cookieValues(r *http.Request, name string) (values []string, err error) {
	sent := r.CookiesNamed(name)
	if len(sent) > mostPlanted {
		return nil, badRequest("there are too many cookies of the name " + name + ": another host of this domain may have set them")
	}
	for _, c := range sent {
		if c.Value != "" && len(c.Value) <= mostCookieValue {
			values = append(values, c.Value)
		}
	}
	return values, nil
}
