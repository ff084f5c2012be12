package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is somebody at the pages: cookies, forms and links, no script.
type browser struct {
	*node
	jar *cookiejar.Jar
	// at is the address of the page on the screen.
	at string
	// agent is what it calls itself, "" for what Go does.
	agent string
}

func (n *node) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(n.t, err)
	return &browser{node: n, jar: jar}
}

// load fetches an address as a navigation does, and stays at redirects.
func (b *browser) load(method, address string, f url.Values, change ...func(*http.Request)) answer {
	b.t.Helper()
	kind, body := "", ""
	if f != nil {
		kind, body = formType, f.Encode()
	}
	u, err := mustURL(b.t, b.url+"/").Parse(address)
	must(b.t, err)
	root := *b.node
	root.url = ""
	a := root.do(method, u.String(), kind, body, append([]func(*http.Request){func(r *http.Request) {
		for _, c := range b.jar.Cookies(u) {
			r.AddCookie(c)
		}
		r.Header.Set("Sec-Fetch-Site", map[bool]string{true: "same-origin", false: "cross-site"}[b.at != ""])
		if b.agent != "" {
			r.Header.Set("User-Agent", b.agent)
		}
		if f != nil {
			r.Header.Set("Origin", "null") // as the pages send no referrer
		}
	}}, change...)...)
	b.jar.SetCookies(u, a.Cookies())
	b.at = u.String()
	return a
}

// follow goes where a redirect of this server leads, until a page or another
// server comes.
func (b *browser) follow(a answer) answer {
	b.t.Helper()
	for range 10 {
		to := a.Header.Get("Location")
		if to == "" || !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, b.url) {
			return a
		}
		if a.StatusCode != 303 {
			b.t.Fatalf("A17 redirected by %d", a.StatusCode)
		}
		a = b.load("GET", to, nil)
	}
	b.t.Fatal("the redirects have no end")
	return a
}

// open begins an authorization request, as a client's page does.
func (b *browser) open(f url.Values) answer {
	b.t.Helper()
	b.at = ""
	return b.follow(b.load("GET", b.url+"/authorize?"+f.Encode(), nil))
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	pageTitle   = regexp.MustCompile(`<title>([^<]*)</title>`)
)

// title is what the page calls itself.
func (a answer) title() string {
	if m := pageTitle.FindSubmatch(a.body); m != nil {
		name, _, _ := strings.Cut(html.UnescapeString(string(m[1])), " · ")
		return name
	}
	return ""
}

// form is the address and the hidden fields of the page's form.
func (a answer) form(t testing.TB) (string, url.Values) {
	t.Helper()
	m := formAction.FindSubmatch(a.body)
	if m == nil {
		t.Fatalf("no form on the page: %d %s", a.StatusCode, a.body)
	}
	f := url.Values{}
	for _, field := range hiddenField.FindAllSubmatch(a.body, -1) {
		f.Set(html.UnescapeString(string(field[1])), html.UnescapeString(string(field[2])))
	}
	return html.UnescapeString(string(m[1])), f
}

// submit fills the form on the page and presses a button.
func (b *browser) submit(page answer, decision string, fields ...string) answer {
	b.t.Helper()
	action, f := page.form(b.t)
	f.Set("decision", decision)
	for name, value := range form(fields...) {
		f[name] = value
	}
	return b.follow(b.load("POST", action, f))
}

// login signs alice in on a login page.
func (b *browser) login(page answer) answer {
	b.t.Helper()
	if page.title() != "Sign in" {
		b.t.Fatalf("not the login page: %d %s", page.StatusCode, page.body)
	}
	return b.submit(page, "login", "username", "alice", "password", password)
}

// through walks a request to its end, saying yes to everything, and returns the
// parameters that came back to the client.
func (b *browser) through(f url.Values) url.Values {
	b.t.Helper()
	a := b.open(f)
	for range 5 {
		switch a.title() {
		case "Sign in":
			a = b.login(a)
		case "Choose an account":
			a = b.submit(a, "continue")
		case "Allow access":
			a = b.submit(a, "allow")
		default:
			return a.back(b.t, f.Get("redirect_uri"))
		}
	}
	b.t.Fatalf("the pages have no end: %s", a.body)
	return nil
}

// back are the parameters of a redirect to the client.
func (a answer) back(t testing.TB, to string) url.Values {
	t.Helper()
	location := a.Header.Get("Location")
	if a.StatusCode != 303 || !strings.HasPrefix(location, to) {
		t.Fatalf("not sent back to %s: %d %s %s", to, a.StatusCode, location, a.body)
	}
	return mustURL(t, location).Query()
}

// code walks a request to its end and returns the code.
func (b *browser) code(f url.Values) string {
	b.t.Helper()
	q := b.through(f)
	if q.Get("code") == "" || q.Get("iss") != b.grants.Settings.Issuer || q.Get("state") != f.Get("state") {
		b.t.Fatalf("came back with %v", q)
	}
	return q.Get("code")
}

// verifier and its challenge are those of RFC 7636 appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask is an authorization request of the client app; pairs change it, and an
// empty value takes a parameter out.
func ask(pairs ...string) url.Values {
	f := form("response_type", "code", "client_id", "app", "redirect_uri", callback, "scope", "read", "state", "s t&a=te\"<é",
		"code_challenge", challengeOf(verifier), "code_challenge_method", "S256")
	for i := 0; i+1 < len(pairs); i += 2 {
		if f.Del(pairs[i]); pairs[i+1] != "" {
			f.Set(pairs[i], pairs[i+1])
		}
	}
	return f
}

// redeem trades a code at /token.
func (n *node) redeem(code string, client func(*http.Request), more ...string) answer {
	n.t.Helper()
	f := form("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
	for i := 0; i+1 < len(more); i += 2 {
		if f.Del(more[i]); more[i+1] != "" {
			f.Set(more[i], more[i+1])
		}
	}
	return n.post("/token", f, client)
}
