// Command browser is an application in a browser whose script never has a token:
// a page, its API behind package verify, and two routes of Jeton, all at one
// host, because the tokens travel in cookies and cookies belong to a host. Who
// logs in does so at Jeton's own pages.
//
//	go run ./cmd/jeton serve --demo
//	go run ./examples/browser
//
// It listens on BROWSER_LISTEN (127.0.0.1:8080); demo-web knows no other address,
// and examples/README.md says how it is told of one. BROWSER_ISSUER is the issuer
// (http://127.0.0.1:9096), BROWSER_JETON where this program reaches it, if that is
// elsewhere. BROWSER_CLIENT (demo-web) is the client: public, with the grant
// authorization_code, its tokens delivered in cookies, the page's origin listed,
// and the page's address as its redirect URI, after signing out too.
// BROWSER_AUDIENCE is for whom its tokens are (the issuer).
//
// What to copy is page/session.js. In production a proxy that you have anyway
// does what proxy.go does; docs/OPERATING.md, "Cookies for pages", says what it
// has to.
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"jeton/verify"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func setting(name, usual string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return usual
}

// site is what the parts have to know of each other.
type site struct {
	issuer *url.URL // as it stands in tokens: how browsers reach Jeton
	jeton  *url.URL // how this program reaches it
	client string
	api    *verify.Verifier
	notes  notes
}

func run() error {
	s := &site{client: setting("BROWSER_CLIENT", "demo-web")}
	var err error
	if s.issuer, err = address("BROWSER_ISSUER", "http://127.0.0.1:9096"); err != nil {
		return err
	}
	if s.jeton, err = address("BROWSER_JETON", s.issuer.Scheme+"://"+s.issuer.Host); err != nil {
		return err
	}
	s.api, err = verify.New(verify.Options{
		Issuer:   s.issuer.String(),
		Audience: strings.Split(setting("BROWSER_AUDIENCE", s.issuer.String()), ","),
		Cookie:   &verify.Cookie{Name: s.accessCookie()},
		HTTP:     &http.Client{Transport: inside{s.jeton}},
	})
	if err != nil {
		return err
	}
	defer s.api.Close()

	listener, err := net.Listen("tcp", setting("BROWSER_LISTEN", "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	server := http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "listening on http://"+listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// address is a setting that is the URL of a server.
func address(name, usual string) (*url.URL, error) {
	u, err := url.Parse(setting(name, usual))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s=%s is not a URL such as https://shop.example.com/auth", name, setting(name, usual))
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// accessCookie is the name of the cookie with the access token, of a client
// without settings of its own for that.
func (s *site) accessCookie() string {
	if s.issuer.Scheme == "https" {
		return "__Host-access"
	}
	return "access"
}

// routes is all that is at this host.
func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	s.page(mux)
	read, write := s.api.Require(verify.Scopes("read")), s.api.Require(verify.Scopes("write"))
	mux.Handle("GET /api/me", s.api.Require()(http.HandlerFunc(me)))
	mux.Handle("GET /api/note", read(http.HandlerFunc(s.notes.show)))
	mux.Handle("PUT /api/note", write(http.HandlerFunc(s.notes.replace)))
	s.proxy(mux)
	return mux
}
