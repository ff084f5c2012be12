package verify_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"jeton/verify"
)

func Example() {
	api, err := verify.New(verify.Options{
		Issuer:   "https://auth.example.com",
		Audience: []string{"https://api.example.com"},
		Resource: "https://api.example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer api.Close()

	mux := http.NewServeMux()
	mux.Handle(api.Metadata("orders:read", "orders:write")) // RFC 9728
	mux.Handle("GET /orders", api.Require(verify.Scopes("orders:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "the orders of", verify.FromContext(r.Context()).Subject)
	})))
	mux.Handle("DELETE /orders/{id}", api.Require(verify.Scopes("orders:write"), verify.AnyRole("ROLE_ADMIN"))(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })))
}

// Outside net/http the token comes from elsewhere, and the error says what to
// answer.
func ExampleVerifier_Verify() {
	var api *verify.Verifier // made once, by verify.New
	message := func(r *http.Request, token string) error {
		t, err := api.Verify(r.Context(), token)
		switch {
		case errors.Is(err, verify.ErrUnavailable):
			return errors.New("try again later") // no fault of the token
		case err != nil:
			return errors.New("log in again")
		case !t.HasScope("messages:write"):
			return errors.New("not allowed")
		}
		return nil
	}
	_ = message
}

// While the issuer is away for long, reading goes on and is counted, writing is
// refused.
func ExampleOptions_whenStale() {
	var stale int
	api, err := verify.New(verify.Options{
		Issuer:   "https://auth.example.com",
		Audience: []string{"https://api.example.com"},
		WhenStale: func(t *verify.Token, age time.Duration) error {
			if t.HasScope("orders:write") || age > time.Hour {
				return errors.New("not that long")
			}
			stale++
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer api.Close()
}

// A page whose browser keeps the token in a cookie.
func ExampleCookie() {
	api, err := verify.New(verify.Options{
		Issuer:   "https://auth.example.com",
		Audience: []string{"https://api.example.com"},
		Resource: "https://api.example.com",
		Cookie:   &verify.Cookie{Name: "__Host-access", Origins: []string{"https://app.example.com"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer api.Close()
}

// What an operator watches: how old the lists are, and what was refused.
func ExampleVerifier_Stats() {
	var api *verify.Verifier // made once, by verify.New
	report := func() {
		s := api.Stats()
		fmt.Println("accepted", s.Accepted, "revoked", s.Refused[verify.ErrRevoked], "keys are", s.Keys.Age(), "old")
		for _, l := range s.Lists {
			fmt.Println(l.URI, "is", l.Age(), "old;", l.Failed, "requests failed, the last with", l.Err)
		}
	}
	_ = report
}
