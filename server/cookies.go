package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// The cookies of the pages. They last until the browser is closed; how long a
// sign-in counts, the store says.
const (
	signInCookie = "jeton"      // who is signed in
	formCookie   = "jeton-form" // what the login form is bound to, before anyone is
)

// cookieName is the name on the wire. The prefix makes browsers take the cookie
// only over https, from this host, for all of it: a neighbouring subdomain
// cannot plant one.
func (s *Server) cookieName(name string) string {
	if s.https {
		return "__Host-" + name
	}
	return name
}

// cookie is the value of a cookie; two of one name are none.
func (s *Server) cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(s.cookieName(name))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// setCookie sets a cookie, or with an empty value takes it away. It is Lax, not
// Strict: people arrive from the client's site.
func (s *Server) setCookie(w http.ResponseWriter, name, value string) {
	c := http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.https, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, &c)
}

// loginKey is the cookie that the login form is bound to, set if it is not
// there: nobody else can have a form that this browser may send (login CSRF).
func (s *Server) loginKey(w http.ResponseWriter, r *http.Request) string {
	key := s.cookie(r, formCookie)
	if b, err := base64.RawURLEncoding.DecodeString(key); err == nil && len(b) == 32 {
		return key
	}
	b := make([]byte, 32)
	rand.Read(b)
	key = base64.RawURLEncoding.EncodeToString(b)
	s.setCookie(w, formCookie, key)
	return key
}

// formToken binds a form to the secret of a cookie and to what it is about.
func formToken(key, about string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(about))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// toldParam is the parameter by which a page knows that what its address has it
// say was told by this server, to this sign-in: anybody can make an address that
// says to an operator that a thousand sessions have ended. It stays in the
// address, so a page can be loaded again and gone back to.
const toldParam = "told"

func vouch(key, path string, sent url.Values) url.Values {
	sent = maps.Clone(sent)
	sent.Del(toldParam)
	sent.Set(toldParam, formToken(key, "told "+path+"?"+sent.Encode()))
	return sent
}

func vouchedFor(key, path string, sent url.Values) bool {
	return key != "" && sent.Has(toldParam) && hmac.Equal([]byte(vouch(key, path, sent).Get(toldParam)), []byte(sent.Get(toldParam)))
}

func rightToken(key, about, token string) bool {
	return key != "" && hmac.Equal([]byte(formToken(key, about)), []byte(token))
}

// fromOurPage reports whether a form can have come from a page of this server.
// Older browsers say nothing of it, or null, because the pages send no referrer:
// then the form's token alone decides.
func (s *Server) fromOurPage(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return true
	case "":
		origin := r.Header.Get("Origin")
		return origin == "" || origin == "null" || strings.EqualFold(origin, s.origin)
	}
	return false
}
