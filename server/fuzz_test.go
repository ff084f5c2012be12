package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"jeton/server"
)

// throw sends a form past the network, so that a fuzzer reaches thousands a
// second, and checks what every answer has in common: JSON that no cache keeps,
// no 5xx, no panic, tokens with 200 and a code with everything else.
func (n *node) throw(t *testing.T, body, authorization string) answer {
	t.Helper()
	r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", formType)
	if authorization != "" {
		r.Header["Authorization"] = []string{authorization}
	}
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, r)
	a := answer{Response: w.Result(), body: w.Body.Bytes()}
	if err := json.Unmarshal(a.body, &a.json); err != nil {
		t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
	}
	if a.StatusCode == http.StatusOK {
		if a.str("access_token") == "" {
			t.Fatalf("200 %s", a.body)
		}
		return a
	}
	if a.StatusCode >= 500 || a.str("access_token") != "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a.wellFormed(t)
	return a
}

func basicValue(userpass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userpass))
}

func FuzzBasicHeader(f *testing.F) {
	n := start(f, options{})
	for _, seed := range []string{
		basicValue("app:" + appSecret), basicValue("app:wrong"), basicValue("%61pp:" + appSecret), basicValue("app:%zz"), basicValue(":"),
		basicValue("app"), basicValue("app:\x00"), basicValue("\xff:\xff"), basicValue("app:" + appSecret + ":"), basicValue("spa:"),
		"Basic", "Basic ", "basic  " + basicValue("app:" + appSecret)[6:], "BASIC YXBw", "Basic !!!", "Bearer x", "", "Basic YXBwOg", "Basic\tYXBwOg==",
		"Basic Y2xpZW50JTNBMSslQzMlQTk6cCUyNXMlMkJ3JTJGKyUyNQ==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		a := n.throw(t, "grant_type=client_credentials", value)
		if a.StatusCode != http.StatusOK {
			return
		}
		_, encoded, _ := strings.Cut(value, " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		user, secret, _ := strings.Cut(string(raw), ":")
		user, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(secret)
		known := map[string]string{"app": appSecret, "other": apiSecret, "api": apiSecret}
		if err != nil || known[user] == "" || known[user] != secret {
			t.Fatalf("%q got a token", value)
		}
	})
}

func FuzzTokenForm(f *testing.F) {
	n := start(f, options{})
	for _, seed := range []string{
		"grant_type=client_credentials", "grant_type=client_credentials&scope=read", "grant_type=client_credentials&scope=read%20%20write",
		loginForm().Encode(), loginForm("scope", "read").Encode(), "grant_type=password&username=alice&password=x", "grant_type=password&username=%00&password=x",
		"grant_type=refresh_token", "grant_type=refresh_token&refresh_token=x.y.z", "grant_type=refresh_token&refresh_token=&scope=",
		"grant_type=authorization_code&code=x&redirect_uri=y", "grant_type=x", "grant_type=password&grant_type=password", "grant_type", "=", "&", ";", "%", "%zz=%zz",
		"grant_type=client_credentials&scope=%ff", "grant_type=client_credentials&client_id=app", "grant_type=client_credentials&client_id=other",
		"grant_type=client_credentials&client_secret=x", "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type=x",
		strings.Repeat("a=1&", 250) + "grant_type=client_credentials", "scope=" + strings.Repeat("read+", 200) + "&grant_type=client_credentials",
		strings.Repeat("x", 70_000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := n.throw(t, body, basicValue("app:"+appSecret))
		if a.StatusCode != http.StatusOK {
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil || len(values["grant_type"]) != 1 || len(values["scope"]) > 1 {
			t.Fatalf("%q got a token", body)
		}
		switch values.Get("grant_type") {
		case "client_credentials":
		case "password":
			if values.Get("password") != password || !strings.EqualFold(values.Get("username"), "alice") {
				t.Fatalf("%q got a token", body)
			}
		default:
			t.Fatalf("%q got a token", body)
		}
		for _, word := range strings.Split(a.str("scope"), " ") {
			if word != "read" && word != "write" {
				t.Fatalf("%q got the scope %q", body, a.str("scope"))
			}
		}
	})
}

func FuzzRefreshToken(f *testing.F) {
	n := start(f, options{})
	live := n.login().str("refresh_token")
	spare := n.login()
	parts := strings.Split(live, ".")
	for _, seed := range []string{
		live, spare.str("access_token"), "", ".", "..", "...", parts[0], parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", live + "=", live + "\n",
		encode(`{"alg":"none","typ":"rt+jwt"}`) + "." + parts[1] + ".", parts[0] + "." + encode(`{}`) + "." + parts[2], parts[0] + "." + encode(`null`) + "." + parts[2],
		encode(`{"alg":"HS256","kid":"x","typ":"rt+jwt"}`) + "." + parts[1] + "." + parts[2], encode(`{"alg":"HS256","crit":["x"]}`) + "." + parts[1] + "." + parts[2],
		encode(`{"alg":"HS256","alg":"none"}`) + "." + parts[1] + "." + parts[2], encode(strings.Repeat("[", 10_000)) + "." + parts[1] + "." + parts[2],
		parts[1] + "." + parts[0] + "." + parts[2], strings.Repeat("a", 10_000), "\x00", "\xff", "é",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		a := n.throw(t, form("grant_type", "refresh_token", "refresh_token", token).Encode(), basicValue("app:"+appSecret))
		if a.StatusCode != http.StatusOK {
			return
		}
		if token != live {
			t.Fatalf("%q got a token", token)
		}
		live = a.str("refresh_token")
	})
}

// What a request says of itself is taken only as it should be written.
func FuzzRequestIDAndTraceparent(f *testing.F) {
	f.Add("7b1c2a34-90ab-4cde-8f01-23456789abcd", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("a b", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more")
	f.Add("", "")
	plain := regexp.MustCompile(`^[A-Za-z0-9._-]{8,72}$`)
	trace := regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)
	f.Fuzz(func(t *testing.T, id, parent string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"], r.Header["Traceparent"] = []string{id}, []string{parent}
		got, traceID := server.Named(r)
		if !plain.MatchString(got) || (got == id) != plain.MatchString(id) {
			t.Errorf("%q became %q", id, got)
		}
		m := trace.FindStringSubmatch(parent)
		if traceID != "" && (m == nil || m[1] != traceID) {
			t.Errorf("%q is the trace %q", parent, traceID)
		}
	})
}
