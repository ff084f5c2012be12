package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
	"jeton/throttle"
)

// deviceVisited wraps the handlers of /device, and of /login on its way: the user
// code travels in the query, and what it stands for is looked up anew each time.
// Without one that stands for anything they do not run: the page asks for it.
func (s *Server) deviceVisited(handle func(*visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r}
		noteOf(r.Context()).grantType = storage.GrantDeviceCode
		sent, repeated, err := parseQuery(r.URL.RawQuery)
		if err == nil && len(repeated) > 0 {
			err = badRequest("a parameter was sent more than once")
		}
		if err == nil {
			v.cookie, v.in, err = s.whoIs(r)
		}
		typed := sent.Get("user_code")
		if err == nil && typed == "" {
			s.codePage(v, http.StatusOK, "", "")
			return
		}
		if err == nil {
			err = s.findDevice(v, typed)
		}
		if err != nil {
			s.codeRefused(v, typed, err)
			return
		}
		handle(v)
	})
}

// eitherVisited serves both ways that lead by the login page. Each address on the
// way of a device begins with its code, and none of an authorization request does.
func (s *Server) eitherVisited(handle func(*visit)) http.Handler {
	code, device := s.visited(handle), s.deviceVisited(handle)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.RawQuery, deviceQuery) && !strings.Contains(r.URL.RawQuery, "client_id=") {
			device.ServeHTTP(w, r)
			return
		}
		code.ServeHTTP(w, r)
	})
}

const deviceQuery = "user_code="

// findDevice puts what a code stands for into the visit.
func (s *Server) findDevice(v *visit, typed string) error {
	sub := ""
	if v.in != nil {
		sub = v.in.User.Value.Subject
	}
	asked, err := s.grants.FindDevice(v.r.Context(), typed, sub, s.sourceOf(v.r))
	if err != nil {
		return err
	}
	v.asked, v.query = &asked, deviceQuery+grants.ShowUserCode(asked.UserCode)
	v.req.Client, v.req.ID = asked.Client, "device "+asked.Name()
	n := noteOf(v.r.Context())
	n.client, n.clientID = &v.req.Client.Value, v.req.Client.Value.ID
	return nil
}

// codePage asks for the code.
func (s *Server) codePage(v *visit, status int, typed, fault string) {
	s.writePage(v.w, status, pages.DeviceCode{
		Service: s.cfg.ServiceName, Action: s.base + "/device", Code: cut(typed), Fault: fault,
	}.HTML())
}

// codeRefused asks again, where another code may help.
func (s *Server) codeRefused(v *visit, typed string, err error) {
	slow, throttled := errors.AsType[*throttle.Throttled](err)
	wrong := errors.Is(err, grants.ErrUserCode)
	if wrong {
		err = grants.Refuse(grants.InvalidRequest, "no device waits under that code", err)
	}
	p := problemOf(err)
	noteError(v.r.Context(), p, err)
	outcome := outcomeOf(err)
	if wrong {
		outcome = "wrong_code"
	}
	s.count(v.r, "device", outcome)
	switch {
	case throttled:
		for name, value := range p.header {
			v.w.Header()[name] = value
		}
		s.codePage(v, p.status, typed, "Too many wrong codes. Please try again in "+count(int64(slow.RetryAfter.Seconds()), "second")+".")
	case wrong:
		s.codePage(v, http.StatusBadRequest, typed, "This code is wrong, or it has expired. Compare it with your device, or have your device show a new one.")
	default:
		s.refusePage(v.w, p)
	}
}

// device is /device: it shows the page that comes next.
func (s *Server) device(v *visit) {
	switch r := v.asked.Request.Value; {
	case r.Denied:
		s.notice(v, http.StatusOK, "Nothing was allowed", "Your device gets no access. If you want to allow it after all, begin again on the device.", "You can close this page.")
	case r.Answered() && v.in != nil && v.in.User.Value.Subject == r.Subject:
		s.notice(v, http.StatusOK, "Your device is connected", clientName(v.req.Client.Value)+" goes on by itself in a few seconds.", "You can close this page.")
	case r.Answered():
		s.notice(v, http.StatusBadRequest, "This code was used", "Somebody has answered already. Have your device show a new code, and begin again.")
	case v.in == nil:
		s.loginPage(v, http.StatusOK, "", "")
	default:
		s.devicePage(v)
	}
}

func (s *Server) notice(v *visit, status int, title string, words ...string) {
	s.writePage(v.w, status, pages.Notice{Service: s.cfg.ServiceName, Title: title, Words: words}.HTML())
}

// devicePage asks the user, who may have been sent the address by somebody else
// (RFC 8628 §5.4): so it is shown each time, and says where the device is.
func (s *Server) devicePage(v *visit) {
	client, r := v.req.Client.Value, v.asked.Request.Value
	idle, most := s.grants.Lifetime(client)
	scope := v.asked.Scope()
	s.writePage(v.w, http.StatusOK, pages.Device{
		Service: s.cfg.ServiceName, Client: clientName(client), Action: v.to(s, "/device"),
		Token: formToken(v.cookie, v.req.ID), Username: v.in.User.Value.Username,
		Code: grants.ShowUserCode(v.asked.UserCode), Asked: agoInWords(v.asked.Now.Sub(r.Created)),
		Agent: r.Device.Agent, Network: r.Device.Network, Beside: besideInWords(r.Device.Network, s.sourceOf(v.r).Device.Network),
		Scopes: s.scopesInWords(scope), Lifetime: deviceLifetime(idle, most),
	}.HTML())
}

// devicePost is what that page sends. As with consent, a form of another sign-in,
// or of one that is over, decides nothing: the next page asks again.
func (s *Server) devicePost(v *visit) {
	f, ok := s.pageForm(v.w, v.r)
	switch {
	case !ok:
	case f.get("decision") == "switch":
		v.move(v.to(s, "/login"))
	case v.in == nil || !rightToken(v.cookie, v.req.ID, f.get("form_token")):
		v.move(v.to(s, "/device"))
	case f.get("decision") == "allow":
		s.answered(v, "ok", s.grants.AllowDevice(v.r.Context(), *v.asked, *v.in, s.sourceOf(v.r)))
	case f.get("decision") == "deny":
		s.denyDevice(v)
	default:
		v.move(v.to(s, "/device"))
	}
}

// denyDevice is the no, of whoever has the code.
func (s *Server) denyDevice(v *visit) {
	sub := ""
	if v.in != nil {
		sub = v.in.User.Value.Subject
	}
	s.answered(v, string(grants.AccessDenied), s.grants.DenyDevice(v.r.Context(), *v.asked, sub, s.sourceOf(v.r)))
}

// answered shows what has come of an answer. Who has signed out meanwhile is
// asked again, and so is who comes too late.
func (s *Server) answered(v *visit, outcome string, err error) {
	refused, ok := errors.AsType[*grants.Error](err)
	if err != nil && !errors.Is(err, grants.ErrUserCode) && !(ok && refused.Code == grants.LoginRequired) {
		s.refuseVisit(v, err)
		return
	}
	if err == nil {
		s.count(v.r, "device", outcome)
	}
	v.move(v.to(s, "/device"))
}

// agoInWords is roughly how long something is ago.
func agoInWords(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute ago"
	}
	return count(int64(d/time.Minute), "minute") + " ago"
}
