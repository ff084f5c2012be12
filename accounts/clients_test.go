package accounts_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/clients"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// authenticate presents a secret as /token would.
func (w *world) authenticate(id, secret string) error {
	w.t.Helper()
	a, err := clients.New(clients.Config{Store: w.store, Issuer: issuer})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = a.Authenticate(w.t.Context(), clients.Credentials{Method: storage.AuthBasic, ClientID: id, Secret: secret})
	if err != nil && !errors.Is(err, clients.ErrInvalidClient) {
		w.t.Fatal(err)
	}
	return err
}

// settings reads them as they come in.
func settings(t *testing.T, text string) (s accounts.ClientSettings) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

const publicKey = `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

func TestAddedClientAuthenticates(t *testing.T) {
	w := newWorld(t)
	secret := w.app()
	if len(secret) < 43 {
		t.Errorf("secret %q", secret)
	}
	if err := w.authenticate("app", secret); err != nil {
		t.Error(err)
	}
	if err := w.authenticate("app", secret[1:]); err == nil {
		t.Error("a wrong secret is let in")
	}
	byHand := strings.Repeat("ab", 16)
	_, made, err := w.clients.Add(t.Context(), accounts.NewClient{
		ID: "hand", Secret: byHand, ClientSettings: settings(t, `{"grant_types":["client_credentials"]}`),
	}, operator)
	if err != nil || made != "" || w.authenticate("hand", byHand) != nil {
		t.Errorf("%q, %v", made, err)
	}
	if _, _, err := w.clients.Add(t.Context(), accounts.NewClient{
		ID: "app", ClientSettings: settings(t, `{"grant_types":["client_credentials"]}`),
	}, operator); !errors.Is(err, grants.ErrExists) {
		t.Errorf("the same id again: %v", err)
	}
	if err := w.authenticate("app", secret); err != nil {
		t.Errorf("the refused client replaced the first: %v", err)
	}
}

func TestAddClientRefusesWithAllFaultsAtOnce(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.clients.Add(t.Context(), accounts.NewClient{ID: `a"b`, Secret: "short", ClientSettings: settings(t, `{
		"grant_types":["magic"], "scope":" a  b", "audience":["`+issuer+`/admin/v1"], "access_token_ttl":"2w", "cors_origins":["*"]
	}`)}, operator)
	wantFaults(t, err, "client_id", "client_secret", "magic", "scope", "audience", "access_token_ttl", "cors_origins")
	for name, c := range map[string]accounts.NewClient{
		"public with secret":         {Secret: strings.Repeat("ab", 16), ClientSettings: settings(t, `{"grant_types":["password"],"public":true}`)},
		"public with a method":       {ClientSettings: settings(t, `{"grant_types":["password"],"public":true,"token_endpoint_auth_method":"client_secret_basic"}`)},
		"public, client_credentials": {ClientSettings: settings(t, `{"grant_types":["client_credentials"],"public":true}`)},
		"admin scope alone":          {ClientSettings: settings(t, `{"grant_types":["client_credentials"],"scope":"jeton:admin"}`)},
	} {
		c.ID = "x"
		_, _, err := w.clients.Add(t.Context(), c, operator)
		var invalid *accounts.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Faults) != 1 {
			t.Errorf("%s: %v, want one fault", name, err)
		}
	}
	if list, _, err := w.clients.List(t.Context(), "", 10); err != nil || len(list) != 0 {
		t.Errorf("clients %v, %v after refusals", list, err)
	}
}

func TestSetChangesOnlyWhatIsThere(t *testing.T) {
	w := newWorld(t)
	secret := w.app()
	before, err := w.clients.Find(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	after, made, err := w.clients.Set(t.Context(), "app", settings(t, `{"client_name":"App","refresh_retry_window":"0s","access_token_ttl":"5m"}`), operator)
	if err != nil || made != "" {
		t.Fatal(made, err)
	}
	if after.Name != "App" || after.RefreshRetryWindow == nil || *after.RefreshRetryWindow != 0 || after.AccessTokenTTL != storage.Duration(5*time.Minute) ||
		!slices.Equal(after.Grants, before.Grants) || !slices.Equal(after.Scopes, before.Scopes) || after.SecretHash != before.SecretHash {
		t.Errorf("after %+v", after)
	}
	after, _, err = w.clients.Set(t.Context(), "app", settings(t, `{"client_name":null,"refresh_retry_window":null,"access_token_ttl":null}`), operator)
	if err != nil || after.Name != "" || after.RefreshRetryWindow != nil || after.AccessTokenTTL != 0 {
		t.Errorf("cleared %+v, %v", after, err)
	}
	_, _, err = w.clients.Set(t.Context(), "app", settings(t, `{"grant_types":null,"client_name":"no"}`), operator)
	wantFaults(t, err, "grant_types")
	if c, _ := w.clients.Find(t.Context(), "app"); c.Name != "" {
		t.Error("a refused change was made in part")
	}
	if err := w.authenticate("app", secret); err != nil {
		t.Error(err)
	}
	if e := w.events(events.ClientChanged); len(e) != 2 {
		t.Errorf("events %+v", e)
	}
	if _, _, err := w.clients.Set(t.Context(), "nobody", settings(t, `{}`), operator); !errors.Is(err, grants.ErrNotFound) {
		t.Error(err)
	}
}

// Each way to authenticate forgets the one before.
func TestSetGoesOverToAnotherWayToAuthenticate(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	first := w.app()
	c, _, err := w.clients.Set(ctx, "app", settings(t, `{"jwks":`+publicKey+`}`), operator)
	if err != nil || c.AuthMethod != storage.AuthPrivateKeyJWT || c.SecretHash != "" || c.JWKS == "" {
		t.Fatalf("keys: %+v, %v", c, err)
	}
	if w.authenticate("app", first) == nil {
		t.Error("the secret works beside the keys")
	}
	_, _, err = w.clients.NewSecret(ctx, "app", "", operator)
	wantFaults(t, err, "private_key_jwt")
	c, made, err := w.clients.Set(ctx, "app", settings(t, `{"token_endpoint_auth_method":null}`), operator)
	if err != nil || c.AuthMethod != "" || c.JWKS != "" || w.authenticate("app", made) != nil {
		t.Fatalf("back to a secret: %+v, %q, %v", c, made, err)
	}
	if _, _, err = w.clients.Set(ctx, "app", settings(t, `{"public":true}`), operator); err == nil {
		t.Error("a public client has client_credentials")
	}
	c, _, err = w.clients.Set(ctx, "app", settings(t, `{"public":true,"grant_types":["password"]}`), operator)
	if err != nil || !c.Public() || c.SecretHash != "" {
		t.Fatalf("public: %+v, %v", c, err)
	}
	c, made, err = w.clients.Set(ctx, "app", settings(t, `{"public":false}`), operator)
	if err != nil || c.Public() || w.authenticate("app", made) != nil {
		t.Fatalf("confidential: %+v, %q, %v", c, made, err)
	}
}

func TestNewSecretReplacesTheOld(t *testing.T) {
	w := newWorld(t)
	first := w.app()
	_, second, err := w.clients.NewSecret(t.Context(), "app", "", operator)
	if err != nil || w.authenticate("app", second) != nil || w.authenticate("app", first) == nil {
		t.Fatal(second, err)
	}
	_, _, err = w.clients.NewSecret(t.Context(), "app", "short", operator)
	wantFaults(t, err, "client_secret")
	if w.authenticate("app", second) != nil {
		t.Error("a refused secret replaced the one before")
	}
	if e := w.events(events.ClientSecretChanged); len(e) != 1 || e[0].ClientID != "app" {
		t.Errorf("events %+v", e)
	}
}

func TestDisableAndDeleteClientEndSessions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	secret := w.app()
	w.alice()
	machine := func() string {
		c, _, _ := w.store.Client(ctx, "app")
		resp, err := w.grants.Token(ctx, grants.Request{GrantType: "client_credentials", Client: c})
		if err != nil {
			t.Fatal(err)
		}
		return resp.AccessToken
	}
	user, own := w.mustLogin().AccessToken, machine()
	first := own
	if _, err := w.clients.Disable(ctx, "app", operator); err != nil {
		t.Fatal(err)
	}
	if w.live(user) || w.live(own) || w.authenticate("app", secret) == nil {
		t.Error("a disabled client is let in")
	}
	if _, err := w.clients.Enable(ctx, "app", operator); err != nil {
		t.Fatal(err)
	}
	if w.live(user) || w.live(own) || w.authenticate("app", secret) != nil {
		t.Error("enabling revives the client and none of its tokens")
	}
	user, own = w.mustLogin().AccessToken, machine()
	if err := w.clients.Delete(ctx, "app", operator); err != nil {
		t.Fatal(err)
	}
	if w.live(user) || w.live(own) || w.authenticate("app", secret) == nil {
		t.Error("a deleted client is let in")
	}
	if err := w.clients.Delete(ctx, "app", operator); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("deleted again: %v", err)
	}
	// Tokens of the first client must not come to life with the second.
	if again := w.app(); again == secret || w.authenticate("app", secret) == nil || w.live(user) || w.live(own) || w.live(first) {
		t.Error("the client that has the id now inherits from the one before")
	}
	reasons := map[string]int{}
	for _, e := range w.events(events.SessionEnded) {
		reasons[e.Reason]++
	}
	if reasons[storage.ReasonClientDisabled] != 1 || reasons[storage.ReasonClientDeleted] != 1 {
		t.Errorf("sessions ended for %v", reasons)
	}
}

// Over the network nobody makes, takes over or unmakes a client that
// administers; switching one off is allowed, for a bad day.
func TestOnlyOperatorsTouchClientsThatAdminister(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.app()
	remote := accounts.Act{By: "client:console"}
	add := func(act accounts.Act) error {
		_, _, err := w.clients.Add(ctx, accounts.NewClient{
			ID: "admin", ClientSettings: settings(t, `{"grant_types":["client_credentials"],"scope":"jeton:admin","admin":true}`),
		}, act)
		return err
	}
	if err := add(remote); !errors.Is(err, accounts.ErrOperatorOnly) {
		t.Errorf("Add: %v", err)
	}
	if _, err := w.clients.Find(ctx, "admin"); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("the refused client: %v", err)
	}
	if err := add(operator); err != nil {
		t.Fatal(err)
	}
	before, _ := w.clients.Find(ctx, "admin")
	set := func(id, text string) func() error {
		return func() error { _, _, err := w.clients.Set(ctx, id, settings(t, text), remote); return err }
	}
	for what, act := range map[string]func() error{
		"set the flag":      set("app", `{"admin":true}`),
		"grant the scope":   set("app", `{"admin":true,"scope":"jeton:admin"}`),
		"clear the flag":    set("admin", `{"admin":false,"scope":"read"}`),
		"change a name":     set("admin", `{"client_name":"mine"}`),
		"swap in own keys":  set("admin", `{"jwks":`+publicKey+`}`),
		"get a new secret":  func() error { _, _, err := w.clients.NewSecret(ctx, "admin", "", remote); return err },
		"delete the client": func() error { return w.clients.Delete(ctx, "admin", remote) },
	} {
		if err := act(); !errors.Is(err, accounts.ErrOperatorOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, err := w.clients.Find(ctx, "admin"); err != nil || after.SecretHash != before.SecretHash || !after.Admin || after.Disabled || after.Epoch != before.Epoch {
		t.Errorf("after the refusals: %+v, %v", after, err)
	}
	if _, err := w.clients.Disable(ctx, "admin", remote); err != nil {
		t.Error(err)
	}
	if _, err := w.clients.Enable(ctx, "admin", remote); !errors.Is(err, accounts.ErrOperatorOnly) {
		t.Errorf("Enable: %v", err)
	}
	if _, err := w.clients.Enable(ctx, "admin", operator); err != nil {
		t.Error(err)
	}
}

func TestCORSOriginsAreIndexed(t *testing.T) {
	w := newWorld(t)
	w.app()
	listed := func(origin string) bool {
		page, err := w.store.List(t.Context(), storage.Query{Index: storage.IndexOrigins, Prefix: origin + " ", Limit: 1})
		return err == nil && len(page.Rows) == 1
	}
	if _, _, err := w.clients.Set(t.Context(), "app", settings(t, `{"cors_origins":["https://app.example"]}`), operator); err != nil || !listed("https://app.example") {
		t.Error("not listed", err)
	}
	if _, _, err := w.clients.Set(t.Context(), "app", settings(t, `{"cors_origins":null}`), operator); err != nil || listed("https://app.example") {
		t.Error("still listed", err)
	}
}
