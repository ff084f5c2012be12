// Command sidecar answers the subrequests of nginx's auth_request: whether the
// access token of a request is valid, not revoked, and has the scopes and one
// of the roles that the location needs. See ../jeton.conf for the other half.
//
// It listens on loopback: whoever reaches it can only ask about tokens that
// they have.
package main

import (
	"cmp"
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

func run() error {
	issuer := cmp.Or(os.Getenv("SIDECAR_ISSUER"), "http://127.0.0.1:9096")
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("SIDECAR_LISTEN"), "127.0.0.1:8090"))
	if err != nil {
		return err
	}
	api, err := verify.New(verify.Options{Issuer: issuer, Audience: []string{cmp.Or(os.Getenv("SIDECAR_AUDIENCE"), issuer)}})
	if err != nil {
		return err
	}
	defer api.Close()
	server := http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(api, w, r)
	})}
	fmt.Fprintln(os.Stderr, "listening on http://"+listener.Addr().String())
	return server.Serve(listener)
}

// answer says 204 with what the token says, or why not.
func answer(api *verify.Verifier, w http.ResponseWriter, r *http.Request) {
	original, err := url.ParseRequestURI(r.Header.Get("X-Original-URI"))
	if err != nil {
		http.Error(w, "X-Original-URI is missing: see jeton.conf", http.StatusInternalServerError)
		return
	}
	r.Method, r.URL = r.Header.Get("X-Original-Method"), original // a token in the query is refused
	var needs []verify.Need
	if scopes := strings.Fields(r.Header.Get("X-Need-Scopes")); len(scopes) > 0 {
		needs = append(needs, verify.Scopes(scopes...))
	}
	if roles := strings.Fields(r.Header.Get("X-Need-Role")); len(roles) > 0 {
		needs = append(needs, verify.AnyRole(roles...))
	}
	token, err := api.Authenticate(r, needs...)
	if err != nil {
		api.Refuse(refusal{w}, err)
		return
	}
	h := w.Header()
	h.Set("X-Jeton-Sub", token.Subject)
	h.Set("X-Jeton-Client", token.ClientID)
	h.Set("X-Jeton-Scope", strings.Join(token.Scope, " "))
	h.Set("X-Jeton-Roles", strings.Join(token.Roles, " "))
	w.WriteHeader(http.StatusNoContent)
}

// refusal gives nginx a status that it hands on: 401 and 403. To it 400 would
// be a fault of the sidecar. 503 is one, and jeton.conf makes it 503 again.
type refusal struct{ http.ResponseWriter }

func (w refusal) WriteHeader(status int) {
	if status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}
