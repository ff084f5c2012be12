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
		params := url.Values{"error": {p.code}, "error_description": {p.description}}
		if v.r.Method == http.MethodGet && farStranger(v.req) {
			s.askBack(v, p, params)
			return
		}
		s.answer(v, params)
		return
	}
	s.refusePage(v.w, p)
}

// farStranger reports whether an answer would go to another site that only
// the client itself has named: nobody who runs this server knows either.
func farStranger(a grants.AuthorizeRequest) bool {
	c := a.Client.Value
	own := c.Document != nil || c.Registration != nil && c.Registration.InitialToken == "" && !c.Registration.TakenOver
	return own && strings.HasPrefix(strings.ToLower(a.RedirectURI), "https://")
}

// askBack leaves it to the user whether to go to such a site, who has seen no
// page of ours yet: else a link to this server would lead anywhere (RFC 9700
// §4.11.2).
func (s *Server) askBack(v *visit, p problem, params url.Values) {
	s.writePage(v.w, http.StatusBadRequest, pages.Notice{
		Service: s.cfg.ServiceName, Title: "This does not work", Code: p.code,
		Words: []string{
			sentence(p.description),
			"Nobody who runs this server knows " + clientName(v.req.Client.Value) + ". Go on only if it is what you wanted to use.",
		},
		Link: &pages.Link{Href: withQuery(v.req.RedirectURI, s.response(v, params)), Words: "Go back to " + hostInWords(v.req.RedirectURI)},
	}.HTML())
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

// response adds what every response has, state and iss (RFC 9207).
func (s *Server) response(v *visit, params url.Values) url.Values {
	if v.req.State != "" {
		params.Set("state", v.req.State)
	}
	params.Set("iss", s.cfg.Issuer)
	return params
}

// answer sends the browser back to the client with the parameters of the
// response.
func (s *Server) answer(v *visit, params url.Values) {
	params = s.response(v, params)
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
