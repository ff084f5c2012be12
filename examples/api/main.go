// Command api is an API that takes the access tokens of a Jeton server:
//
//	API_ISSUER=http://127.0.0.1:9096 API_AUDIENCE=http://127.0.0.1:9096 go run ./examples/api
//
// Without API_AUDIENCE tokens for the issuer itself are taken, which are those
// of clients without an audience of their own; several are separated by commas.
// API_POLL=true asks for status
// lists every 15 s instead of waiting for changes.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
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

func run() error {
	issuer := setting("API_ISSUER", "http://127.0.0.1:9096")
	listener, err := net.Listen("tcp", setting("API_LISTEN", "127.0.0.1:8081"))
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	api, err := verify.New(verify.Options{
		Issuer:   issuer,
		Audience: strings.Split(setting("API_AUDIENCE", issuer), ","),
		Resource: url, // of an API that others reach, its https URL
		NoWait:   setting("API_POLL", "false") == "true",
	})
	if err != nil {
		return err
	}
	defer api.Close()

	server := http.Server{Handler: routes(api), ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "listening on", url)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func routes(api *verify.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.Metadata("read", "write"))
	mux.Handle("GET /orders", api.Require(verify.Scopes("read"))(http.HandlerFunc(orders)))
	mux.Handle("DELETE /orders/{id}", api.Require(verify.Scopes("write"), verify.AnyRole("ROLE_ADMIN"))(http.HandlerFunc(remove)))
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) { stats(w, api.Stats()) })
	return mux
}

func orders(w http.ResponseWriter, r *http.Request) {
	token := verify.FromContext(r.Context())
	write(w, map[string]any{"orders": []string{"a lantern"}, "of": token.Subject, "roles": token.Roles})
}

func remove(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }

// stats is for the API's operator. Put it where only they can ask.
func stats(w http.ResponseWriter, s verify.Stats) {
	lists := map[string]any{}
	for _, l := range s.Lists {
		lists[l.URI] = map[string]any{"age_seconds": l.Age().Seconds(), "failed": l.Failed, "waiting": l.Waiting}
	}
	write(w, map[string]any{"accepted": s.Accepted, "refused": s.Refused, "keys_age_seconds": s.Keys.Age().Seconds(), "lists": lists})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
