package server

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"jeton/grants"
	"jeton/pages"
)

// writePage answers with a page. It goes into no frame and no cache, and links
// from it tell nobody where they came from (RFC 9700 §4.2, §4.16). There is no
// Cross-Origin-Opener-Policy: clients open the login in a window of its own and
// wait for what comes back into it.
func (s *Server) writePage(w http.ResponseWriter, status int, html []byte) {
	s.write(w, status, html, pages.Policy)
}

func (s *Server) write(w http.ResponseWriter, status int, html []byte, policy string) {
	s.writeCached(w, status, html, policy, "no-store")
}

func (s *Server) writeCached(w http.ResponseWriter, status int, html []byte, policy, cache string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", cache)
	if s.https {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	w.Write(html)
}

// refuseVisit tells what is wrong: to the client where it may be (RFC 6749
// §4.1.2.1), else to the user.
func (s *Server) refuseVisit(v *visit, err error) {
	p := problemOf(err)
	noteError(v.r.Context(), p, err)
	s.count(v.r, v.home(), outcomeOf(err))
	if v.req.Trusted() && p.code != string(grants.InvalidRequestURI) {
		s.answer(v, url.Values{"error": {p.code}, "error_description": {p.description}})
		return
	}
	s.refusePage(v.w, p)
}

// refusePage tells a problem to the user. To authenticate is not for browsers,
// so that what would be a 401 elsewhere is a bad request here.
func (s *Server) refusePage(w http.ResponseWriter, p problem) {
	title, words := "This does not work", []string{sentence(p.description), "Go back to the application and try again. If it happens again, tell those who run it."}
	if p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests {
		title, words = "Please try again", []string{sentence(p.description)}
	}
	if p.status == http.StatusUnauthorized {
		p.status = http.StatusBadRequest
		p.header = nil
	}
	for name, value := range p.header {
		w.Header()[name] = value
	}
	s.writePage(w, p.status, pages.Notice{Service: s.cfg.ServiceName, Title: title, Words: words, Code: p.code}.HTML())
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// answer sends the browser back to the client with the parameters of the
// response, state and iss among them (RFC 9207).
func (s *Server) answer(v *visit, params url.Values) {
	if v.req.State != "" {
		params.Set("state", v.req.State)
	}
	params.Set("iss", s.cfg.Issuer)
	if v.req.Mode == grants.ModeFormPost {
		page := pages.Answer{Service: s.cfg.ServiceName, Client: clientName(v.req.Client.Value), Action: template.URL(v.req.RedirectURI)}
		for _, name := range []string{"code", "error", "error_description", "state", "iss"} {
			if params.Has(name) {
				page.Fields = append(page.Fields, pages.Field{Name: name, Value: params.Get(name)})
			}
		}
		s.write(v.w, http.StatusOK, page.HTML(), pages.AnswerPolicy)
		return
	}
	v.move(withQuery(v.req.RedirectURI, params))
}

// withQuery adds parameters to a registered URI, which keeps the query it has.
func withQuery(uri string, params url.Values) string {
	switch {
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + params.Encode()
	case strings.Contains(uri, "?"):
		return uri + "&" + params.Encode()
	}
	return uri + "?" + params.Encode()
}
