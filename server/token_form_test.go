package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const formType = "application/x-www-form-urlencoded"

func TestTokenForm(t *testing.T) {
	h := start(t, options{}).holder()

	t.Run("T3 other methods", func(t *testing.T) {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post"} {
			h.refused(t, h.do(method, "/token", formType, h.refreshForm().Encode(), app), 405, "invalid_request")
		}
		h.refused(t, h.do("GET", "/token?"+h.refreshForm().Encode(), "", "", app), 405, "invalid_request")
		if a := h.do("HEAD", "/token", "", "", app); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
		}
	})

	t.Run("T4 nothing is read from the URI", func(t *testing.T) {
		for _, name := range []string{"refresh_token", "grant_type"} {
			for _, spelt := range []string{name, strings.Replace(name, "_", "%5F", 1)} {
				path := "/token?" + spelt + "=" + h.refreshForm().Get(name)
				h.refused(t, h.post(path, h.refreshForm(name, "-"), app), 400, "invalid_request")
				// Not even beside a good body: it stands in somebody's log now.
				h.refused(t, h.post(path, h.refreshForm(), app), 400, "invalid_request")
			}
		}
		h.refused(t, h.post("/token?client_secret="+appSecret, h.refreshForm("client_id", "app")), 400, "invalid_request")
		h.refused(t, h.post("/token?password="+password, loginForm("password", "-"), app), 400, "invalid_request")
		h.refused(t, h.post("/token?username=alice", loginForm(), app), 400, "invalid_request")
		h.refused(t, h.post("/token?code=x", h.refreshForm(), app), 400, "invalid_request")
		h.refused(t, h.post("/token?client_assertion=x.y.z", h.refreshForm()), 400, "invalid_request")
		h.refused(t, h.post("/token?client_id=app", h.refreshForm()), 401, "invalid_client")
		a := h.post("/token?scope=read", h.refreshForm(), app)
		a.want(t, 200, "")
		if a.str("scope") != "read write" {
			t.Errorf("scope %q was read from the URI", a.str("scope"))
		}
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)
	})

	t.Run("T5 other kinds of body", func(t *testing.T) {
		good := h.refreshForm().Encode()
		for _, kind := range []string{
			"application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencodedx",
			"application/*", "*/*", ";", "application/x-www-form-urlencoded; charset", "",
		} {
			h.refused(t, h.do("POST", "/token", kind, good, app), 400, "invalid_request")
		}
		h.refused(t, h.do("POST", "/token", "application/json", `{"grant_type":"client_credentials"}`, app), 400, "invalid_request")
		for _, kind := range []string{formType + ";charset=UTF-8", "Application/X-WWW-Form-Urlencoded"} {
			a := h.do("POST", "/token", kind, h.refreshForm().Encode(), app)
			a.want(t, 200, "")
			h.refreshToken = a.str("refresh_token")
		}
		h.rotate(t)
	})

	t.Run("T6 a parameter sent twice", func(t *testing.T) {
		twice := func(base string, name, value string, change ...func(*http.Request)) {
			t.Helper()
			body := base + "&" + form(name, value).Encode()
			h.refused(t, h.do("POST", "/token", formType, body, change...), 400, "invalid_request")
		}
		for _, name := range []string{"grant_type", "refresh_token", "scope", "client_id"} {
			f := h.refreshForm("scope", "read", "client_id", "app")
			twice(f.Encode(), name, f.Get(name), app)
			f = h.refreshForm("scope", "read", "client_id", "app")
			twice(f.Encode(), name, "", app) // an empty one counts too
		}
		for _, name := range []string{"username", "password"} {
			f := loginForm()
			twice(f.Encode(), name, f.Get(name), app)
		}
		post := h.refreshForm("client_id", "app", "client_secret", appSecret)
		twice(post.Encode(), "client_secret", appSecret)
		twice(h.refreshForm("unknown", "1").Encode(), "unknown", "1", app)
		a := h.do("POST", "/token", formType, h.refreshForm().Encode()+"&resource="+url.QueryEscape(h.url)+"&resource="+url.QueryEscape(h.url)+"&audience=a&audience=b", app)
		a.want(t, 200, "")
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)
	})

	t.Run("T7 unknown parameters are ignored", func(t *testing.T) {
		a := h.post("/token", h.refreshForm("foo", "bar", "access_token", "x", "redirect_uri", "javascript:1", "ext[]", "é"), app)
		a.want(t, 200, "")
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)
	})

	t.Run("T8 an empty parameter is an absent one", func(t *testing.T) {
		a := h.post("/token", h.refreshForm("scope", "", "client_id", "", "client_secret", "", "client_assertion", ""), app)
		a.want(t, 200, "")
		if a.str("scope") != "read write" {
			t.Errorf("scope %q", a.str("scope"))
		}
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)
		h.refused(t, h.post("/token", h.refreshForm("refresh_token", ""), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("refresh_token", "-"), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("grant_type", ""), app), 400, "invalid_request")
	})

	t.Run("T9 grant types", func(t *testing.T) {
		h.refused(t, h.post("/token", h.refreshForm("grant_type", "-"), app), 400, "invalid_request")
		h.refused(t, h.do("POST", "/token", formType, "", app), 400, "invalid_request")
		for _, unknown := range []string{
			"x", "Password", "refresh_token ", " refresh_token", "refresh_token\n", "implicit",
			"urn:ietf:params:oauth:grant-type:Device_code", "urn:ietf:params:oauth:grant-type:Token-exchange",
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "__refreshing", `"`, strings.Repeat("x", 60<<10),
		} {
			h.refused(t, h.post("/token", h.refreshForm("grant_type", unknown), app), 400, "unsupported_grant_type")
		}
		h.refused(t, h.post("/token", h.refreshForm("grant_type", "authorization_code", "code", "x", "redirect_uri", "https://a.example"), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm(), basic("api", apiSecret)), 400, "unauthorized_client")
		h.refused(t, h.post("/token", loginForm(), basic("api", apiSecret)), 400, "unauthorized_client")
		h.refused(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "spa")), 400, "unauthorized_client")
	})

	t.Run("T10 no input comes back", func(t *testing.T) {
		for _, name := range []string{"grant_type", "scope", "refresh_token", "client_id", "username"} {
			for _, nasty := range []string{"\"\\\r\n", "é<script>", "\x7f\u202e", "%00%ff"} {
				f := h.refreshForm(name, nasty)
				if name == "username" {
					f = loginForm()
					f.Set(name, nasty)
				}
				a := h.post("/token", f, app)
				h.refused(t, a, a.StatusCode, a.str("error"))
				if a.StatusCode != 400 || bytes.Contains(a.body, []byte("<")) {
					t.Errorf("%s %q: %d %s", name, nasty, a.StatusCode, a.body)
				}
			}
		}
	})

	t.Run("T29 hostile bodies", func(t *testing.T) {
		pad := func(size int) string {
			body := h.refreshForm("padding", "").Encode()
			return body + "&x=" + strings.Repeat("x", size-len(body)-3)
		}
		h.refused(t, h.do("POST", "/token", formType, pad(64<<10+1), app), 413, "invalid_request")
		h.refused(t, h.do("POST", "/token", formType, pad(8<<20), app), 413, "invalid_request")
		h.refused(t, h.do("POST", "/token", formType, pad(8<<20)), 413, "invalid_request")
		a := h.do("POST", "/token", formType, pad(64<<10), app)
		a.want(t, 200, "")
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)

		var many strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&many, "&%d=", i)
		}
		for what, more := range map[string]string{
			"10,000 parameters":    many.String(),
			"10,000 ampersands":    strings.Repeat("&", 10_000),
			"invalid UTF-8":        "&scope=%ff%fe",
			"raw invalid UTF-8":    "&scope=\xff\xfe",
			"overlong UTF-8":       "&scope=%c0%80",
			"NUL":                  "&scope=read%00",
			"semicolon":            ";scope=read",
			"bad escape":           "&scope=%zz",
			"half an escape":       "&scope=%4",
			"bad escape in a name": "&%zz=1",
			"an encoded surrogate": "&scope=%ed%a0%80",
		} {
			t.Run(what, func(t *testing.T) {
				h.refused(t, h.do("POST", "/token", formType, h.refreshForm().Encode()+more, app), 400, "invalid_request")
			})
		}
	})

	t.Run("T29 chunked bodies", func(t *testing.T) {
		chunked := func(body string) answer {
			return h.do("POST", "/token", formType, "", app, func(r *http.Request) {
				r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(body)), -1, nil
			})
		}
		h.refused(t, chunked(h.refreshForm().Encode()+"&x="+strings.Repeat("x", 1<<20)), 413, "invalid_request")
		h.refused(t, chunked(""), 400, "invalid_request")
		a := chunked(h.refreshForm().Encode())
		a.want(t, 200, "")
		h.refreshToken = a.str("refresh_token")
		h.rotate(t)
	})
}
