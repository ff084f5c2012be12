package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Two clients of pages that would take each other's cookies away are let be, and
// whoever makes or changes one is told.
func TestClientsOfTheSameCookiesAreNamed(t *testing.T) {
	n := console(t, options{})
	n.shop()
	named := func(method, path, body string, want ...string) {
		t.Helper()
		w := n.operatorCall(method, path, body)
		var got struct {
			Same []string `json:"same_cookies"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code/100 != 2 || !slices.Equal(got.Same, want) {
			t.Errorf("%s %s: %d %s, want %q", method, path, w.Code, w.Body, want)
		}
	}
	const till = `"grant_types":["password","refresh_token"],"scope":"read","public":true,"delivery":"cookie","cors_origins":["` + shopOrigin + `:8443"]}`
	named("POST", "/clients", `{"client_id":"till",`+till, "shop")
	named("GET", "/clients/shop", "", "till")
	named("POST", "/clients", `{"client_id":"bar",`+till, "shop", "till")
	named("PATCH", "/clients/till", `{"cookie_name":"till"}`)
	named("GET", "/clients/till", "")
	named("PATCH", "/clients/shop", `{"client_name":"Shop"}`, "bar")

	if said := "Its cookies have the names of those of bar at one host"; !strings.Contains(string(n.page("/console/client?id=shop").body), said) {
		t.Error("the console does not say so")
	}
}
