package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/keys"
	"jeton/storage"
)

// appWith is the client app with a proof.
func (n *node) appWith(k jwtKey, changes map[string]any) func(*http.Request) {
	return func(r *http.Request) { app(r); withProof(n.proof(k, changes))(r) }
}

func TestK6_CodesAreBoundToAKey(t *testing.T) {
	n := start(t, options{})
	k, other := newKey(t, "", keys.ES256), newKey(t, "", keys.RS256)
	jkt, atPar := k.thumbprint(t), map[string]any{"htu": n.url + "/par"}
	b := n.browser()
	pushed := func(f url.Values, with func(*http.Request)) url.Values {
		t.Helper()
		return form("client_id", "app", "request_uri", push(n, with, f).ok(t, 201).str("request_uri"))
	}
	for what, ask := range map[string]func() url.Values{
		"/authorize":            func() url.Values { return ask("dpop_jkt", jkt) },
		"PAR, by the parameter": func() url.Values { return pushed(ask("dpop_jkt", jkt), app) },
		"PAR, by a proof":       func() url.Values { return pushed(ask(), n.appWith(k, atPar)) },
		"PAR, by both":          func() url.Values { return pushed(ask("dpop_jkt", jkt), n.appWith(k, atPar)) },
	} {
		t.Run(what, func(t *testing.T) {
			code := func() string {
				q := b.through(ask())
				if q.Get("code") == "" {
					t.Fatalf("came back with %v", q)
				}
				return q.Get("code")
			}
			a := n.redeem(code(), n.appWith(k, nil)).ok(t, 200)
			if cnf, _ := n.verified(t, a.str("access_token"))["cnf"].(map[string]any); a.str("token_type") != "DPoP" || cnf["jkt"] != jkt {
				t.Errorf("%s", a.body)
			}
			for _, with := range []func(*http.Request){app, n.appWith(other, nil)} {
				c := code()
				n.redeem(c, with).want(t, 400, "invalid_grant")
				n.redeem(c, n.appWith(k, nil)).want(t, 400, "invalid_grant") // burnt, as by a wrong verifier
			}
		})
	}
	// One that is bound to no key is redeemed with any.
	n.redeem(b.code(ask()), n.appWith(other, nil)).ok(t, 200)

	t.Run("the parameter and the proof differ", func(t *testing.T) {
		push(n, n.appWith(other, atPar), ask("dpop_jkt", jkt)).want(t, 400, "invalid_dpop_proof")
	})
	t.Run("no thumbprint", func(t *testing.T) {
		for _, bad := range []string{"x", jkt + "A", jkt[:42], strings.Repeat("=", 43), jkt[:42] + "/"} {
			if q := b.open(ask("dpop_jkt", bad)).back(t, callback); q.Get("error") != "invalid_request" {
				t.Errorf("%q: %v", bad, q)
			}
			push(n, app, ask("dpop_jkt", bad)).want(t, 400, "invalid_request")
		}
		f := ask()
		f["dpop_jkt"] = []string{jkt, other.thumbprint(t)}
		if q := b.open(f).back(t, callback); q.Get("error") != "invalid_request" {
			t.Errorf("two: %v", q)
		}
	})
	t.Run("proofs at PAR", func(t *testing.T) {
		for what, changes := range map[string]map[string]any{
			"for /token": nil, "for GET": {"htu": n.url + "/par", "htm": "GET"}, "without jti": {"htu": n.url + "/par", "jti": nil}, "of yesterday": {"htu": n.url + "/par", "iat": 1},
		} {
			if a := push(n, n.appWith(k, changes), ask()); a.StatusCode != 400 || a.str("error") != "invalid_dpop_proof" {
				t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
			}
		}
		proof := n.proof(k, atPar)
		with := func(r *http.Request) { app(r); withProof(proof)(r) }
		push(n, with, ask("scope", "nope")).want(t, 400, "invalid_scope") // and does not spend it
		push(n, with, ask()).ok(t, 201)
		push(n, with, ask()).want(t, 400, "invalid_dpop_proof")
	})
	t.Run("nonces", func(t *testing.T) {
		n := start(t, options{nonces: true})
		must(t, second2(n.clients.Set(t.Context(), "app", accounts.ClientSettings{CORSOrigins: accounts.To([]string{"https://app.example"})}, accounts.Act{Operator: true})))
		with := func(nonce any) func(*http.Request) {
			return func(r *http.Request) {
				n.appWith(k, map[string]any{"htu": n.url + "/par", "nonce": nonce})(r)
				r.Header.Set("Origin", "https://app.example")
			}
		}
		a := push(n, with(nil), ask())
		a.want(t, 400, "use_dpop_nonce")
		if a.Header.Get("DPoP-Nonce") == "" || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
			t.Errorf("headers %v", a.Header)
		}
		push(n, with(a.Header.Get("DPoP-Nonce")), ask()).ok(t, 201)
	})
}

// A proof at /par is the one thing that a pushed request has the store keep.
func TestStrangersWhoPushWithProofsAreSlowed(t *testing.T) {
	n := behind(t, true)
	k := newKey(t, "", keys.ES256)
	must(t, n.addClient(accounts.NewClient{ID: "pusher", ClientSettings: accounts.ClientSettings{
		Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantAuthorizationCode}), RedirectURIs: accounts.To([]string{callback}),
	}}))
	pushed := func(who, where func(*http.Request)) answer {
		return push(n, func(r *http.Request) {
			where(r)
			withProof(n.proof(k, map[string]any{"htu": n.url + "/par"}))(r)
			who(r)
		}, ask("client_id", "pusher", "scope", ""))
	}
	stranger := func(*http.Request) {}
	for range 100 {
		pushed(stranger, from("192.0.2.1")).ok(t, 201)
	}
	if a := pushed(stranger, from("192.0.2.1")); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	pushed(stranger, from("192.0.2.2")).ok(t, 201)
	n.clock.Add(2 * time.Second)
	pushed(stranger, from("192.0.2.1")).ok(t, 201)
}
