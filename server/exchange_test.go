package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

const (
	accessType = "urn:ietf:params:oauth:token-type:access_token"
	ordersURI  = "https://orders.example"
	stockURI   = "https://stock.example/v1"
)

// exchanger is a node with an API, orders, that calls others for its users:
// alice's tokens of the client shop reach it as https://orders.example.
type exchanger struct {
	*node
	subject, refreshToken string
}

func orders(r *http.Request) { basic("orders", apiSecret)(r) }
func shop(r *http.Request)   { basic("shop", appSecret)(r) }

func startExchanger(t *testing.T) *exchanger {
	t.Helper()
	x := &exchanger{node: start(t, options{})}
	must(t, x.addClient(accounts.NewClient{ID: "shop", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"password", "refresh_token", "client_credentials"}), Scope: accounts.To("read write pay"), Audience: accounts.To([]string{ordersURI})}}))
	must(t, x.addClient(accounts.NewClient{ID: "orders", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{storage.GrantTokenExchange, "client_credentials"}), Scope: accounts.To("read write stock"),
		Audience: accounts.To([]string{stockURI, "billing"}), ExchangeAudience: accounts.To([]string{ordersURI})}}))
	x.login()
	return x
}

func (x *exchanger) login() {
	a := x.post("/token", loginForm(), shop).ok(x.t, 200)
	x.subject, x.refreshToken = a.str("access_token"), a.str("refresh_token")
}

func (x *exchanger) exchange(more ...string) answer {
	f := form("grant_type", storage.GrantTokenExchange, "subject_token", x.subject, "subject_token_type", accessType)
	for i := 0; i+1 < len(more); i += 2 {
		switch name, value := more[i], more[i+1]; {
		case value == "-":
			f.Del(name)
		case name == "audience" || name == "resource":
			f.Add(name, value)
		default:
			f.Set(name, value)
		}
	}
	return x.post("/token", f, orders)
}

func TestX9_ExchangeGivesAnAccessTokenOfTheSession(t *testing.T) {
	x := startExchanger(t)
	a := x.exchange().ok(t, 200)
	if a.str("issued_token_type") != accessType || a.str("token_type") != "Bearer" || a.str("scope") != "read write" || a.json["refresh_token"] != nil || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %s", a.body)
	}
	got, from := x.verified(t, a.str("access_token")), segment(t, x.subject, 1)
	if got["sub"] != "u-alice" || got["client_id"] != "orders" || got["sid"] != from["sid"] || got["act"] != nil || fmt.Sprint(got["aud"]) != "["+stockURI+" billing]" || got["auth_time"] != from["auth_time"] {
		t.Errorf("claims %v", got)
	}
	in := x.introspect(a.str("access_token"), api).ok(t, 200)
	if in.json["active"] != true || in.str("username") != "alice" || in.str("client_id") != "orders" {
		t.Errorf("introspected %s", in.body)
	}
	for what, more := range map[string][]string{
		"no token": {"subject_token", "-"}, "no type": {"subject_token_type", "-"}, "neither": {"subject_token", "-", "subject_token_type", "-"},
		"another type": {"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, "a type of refresh tokens": {"subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"},
		"a refresh token is asked for": {"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"},
	} {
		t.Run(what, func(t *testing.T) { x.exchange(more...).want(t, 400, "invalid_request") })
	}
	x.exchange("requested_token_type", accessType).ok(t, 200)
	x.exchange("scope", "read").ok(t, 200)
}

func TestX10_BadTokensAndTargets(t *testing.T) {
	x := startExchanger(t)
	own := x.machine("orders", apiSecret)
	elsewhere := x.node.login().str("access_token") // of app, for the issuer
	for what, c := range map[string]struct {
		code string
		more []string
	}{
		"actor without type":         {"invalid_request", []string{"actor_token", own}},
		"type without actor":         {"invalid_request", []string{"actor_token_type", accessType}},
		"another type of actor":      {"invalid_request", []string{"actor_token", own, "actor_token_type", "urn:ietf:params:oauth:token-type:id_token"}},
		"an actor of another client": {"invalid_request", []string{"actor_token", x.machine("app", appSecret), "actor_token_type", accessType}},
		"a forged actor":             {"invalid_request", []string{"actor_token", forged(own), "actor_token_type", accessType}},
		"garbage":                    {"invalid_request", []string{"subject_token", "x"}},
		"a forged subject":           {"invalid_request", []string{"subject_token", forged(x.subject)}},
		"a refresh token":            {"invalid_request", []string{"subject_token", x.refreshToken}},
		"a client's own":             {"invalid_request", []string{"subject_token", own}},
		"not meant for the client":   {"invalid_request", []string{"subject_token", elsewhere}},
		"an unknown audience":        {"invalid_target", []string{"audience", "nobody"}},
		"one unknown of two":         {"invalid_target", []string{"audience", "billing", "audience", "nobody"}},
		"an unknown resource":        {"invalid_target", []string{"resource", "https://other.example"}},
		"a relative resource":        {"invalid_target", []string{"resource", "billing"}},
		"a fragment":                 {"invalid_target", []string{"resource", stockURI + "#"}},
		"the subject's own audience": {"invalid_target", []string{"resource", ordersURI}},
		"the admin API":              {"invalid_target", []string{"audience", x.url + "/admin/v1"}},
		"a scope of the client only": {"invalid_scope", []string{"scope", "stock"}},
		"a scope of the token only":  {"invalid_scope", []string{"scope", "pay"}},
		"an odd scope":               {"invalid_scope", []string{"scope", "read  write"}},
	} {
		t.Run(what, func(t *testing.T) {
			a := x.exchange(c.more...)
			a.want(t, 400, c.code)
			a.wellFormed(t)
		})
	}
	aud := x.verified(t, x.exchange("resource", stockURI, "audience", "billing", "audience", "billing").ok(t, 200).str("access_token"))["aud"]
	if fmt.Sprint(aud) != "["+stockURI+" billing]" {
		t.Errorf("aud %v", aud)
	}
	x.clock.Add(31 * time.Minute)
	x.exchange().want(t, 400, "invalid_request")
	x.login()
	x.exchange().ok(t, 200)
	x.post("/revoke", form("token", x.subject), shop).ok(t, 200)
	x.exchange().want(t, 400, "invalid_request")
}

func TestX11_Delegation(t *testing.T) {
	x := startExchanger(t)
	must(t, x.addClient(accounts.NewClient{ID: "stock", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{storage.GrantTokenExchange, "client_credentials"}), Scope: accounts.To("read"), ExchangeAudience: accounts.To([]string{stockURI})}}))
	t.Run("only clients that were let in", func(t *testing.T) {
		f := form("grant_type", storage.GrantTokenExchange, "subject_token", x.subject, "subject_token_type", accessType)
		x.post("/token", f, shop).want(t, 400, "unauthorized_client")
		f.Set("client_id", "spa")
		x.post("/token", f).want(t, 400, "unauthorized_client")
		err := x.addClient(accounts.NewClient{ID: "p", ClientSettings: accounts.ClientSettings{Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantTokenExchange})}})
		if err == nil || !strings.Contains(err.Error(), "public") {
			t.Errorf("a public client: %v", err)
		}
	})
	t.Run("act is nested and never lost", func(t *testing.T) {
		first := x.exchange("actor_token", x.machine("orders", apiSecret), "actor_token_type", accessType).ok(t, 200).str("access_token")
		if got := fmt.Sprint(x.verified(t, first)["act"]); got != "map[sub:orders]" {
			t.Errorf("act %s", got)
		}
		if got := fmt.Sprint(x.introspect(first, api).json["act"]); got != "map[sub:orders]" {
			t.Errorf("introspected act %s", got)
		}
		f := form("grant_type", storage.GrantTokenExchange, "subject_token", first, "subject_token_type", accessType)
		again := x.post("/token", f, basic("stock", apiSecret)).ok(t, 200).str("access_token")
		if got := fmt.Sprint(x.verified(t, again)["act"]); got != "map[sub:orders]" {
			t.Errorf("without an actor: act %s", got)
		}
		f.Set("actor_token", x.machine("stock", apiSecret))
		f.Set("actor_token_type", accessType)
		last := x.post("/token", f, basic("stock", apiSecret)).ok(t, 200)
		if got := fmt.Sprint(x.verified(t, last.str("access_token"))["act"]); got != "map[act:map[sub:orders] sub:stock]" || last.str("scope") != "read" {
			t.Errorf("act %s, scope %q", got, last.str("scope"))
		}
	})
	t.Run("it does not outlive the subject token", func(t *testing.T) {
		x.clock.Add(20 * time.Minute)
		a := x.exchange().ok(t, 200)
		if got, of := segment(t, a.str("access_token"), 1)["exp"], segment(t, x.subject, 1)["exp"]; got != of || a.json["expires_in"] != 600.0 {
			t.Errorf("exp %v of %v, expires_in %v", got, of, a.json["expires_in"])
		}
	})
}

// What ends a session, its user or the client that exchanged, ends the token.
func TestExchangedTokensEndWithWhatTheyStandOn(t *testing.T) {
	t.Parallel()
	x := startExchanger(t)
	call := func(method, path, body string) func() {
		return func() { x.operator(method, path, body).ok(t, 200) }
	}
	for what, end := range map[string]func(){
		"session revoked":       func() { x.post("/revoke", form("token", x.refreshToken), shop).ok(t, 200) },
		"revoked by its client": func() {},
		"roles lost":            call("PUT", "/users/alice/roles", `{"roles":["ROLE_OTHER"]}`),
		"client loses a scope":  call("PATCH", "/clients/orders", `{"scope":"write stock"}`),
		"client disabled":       call("POST", "/clients/orders/disable", ""),
	} {
		t.Run(what, func(t *testing.T) {
			call("POST", "/clients/orders/enable", "")()
			call("PATCH", "/clients/orders", `{"scope":"read write stock"}`)()
			call("PUT", "/users/alice/roles", `{"roles":["ROLE_USER"]}`)()
			x.clock.Add(2 * time.Second)
			x.login()
			token := x.exchange().ok(t, 200).str("access_token")
			if !x.active(token) {
				t.Fatal("it is not active")
			}
			if end(); what == "revoked by its client" {
				x.post("/revoke", form("token", token), shop).want(t, 400, "invalid_grant")
				x.post("/revoke", form("token", token), orders).ok(t, 200)
				if !x.active(x.subject) {
					t.Error("the subject token went with it")
				}
			}
			x.clock.Add(2 * time.Second)
			if x.active(token) {
				t.Error("it is active")
			}
			x.bits(t, what, true, token)
		})
	}
}

func TestExchangesPushOutNoneButTheirOwn(t *testing.T) {
	x := startExchanger(t)
	var tokens []string
	for range 33 {
		tokens = append(tokens, x.exchange().ok(t, 200).str("access_token"))
	}
	if !x.active(x.subject) || x.active(tokens[0]) || !x.active(tokens[1]) || !x.active(tokens[32]) {
		t.Error("the 33rd has to push out the first, and nothing else")
	}
	a := x.post("/token", form("grant_type", "refresh_token", "refresh_token", x.refreshToken), shop).ok(t, 200)
	if !x.active(a.str("access_token")) || !slices.ContainsFunc(tokens[1:], x.active) {
		t.Error("a refresh must leave them alone")
	}
}
