package server_test

import (
	"fmt"
	"regexp"
	"testing"

	"jeton/accounts"
)

var resourceMetadata = regexp.MustCompile(`^Bearer .*resource_metadata="([^"]*)"$`)

// A 401 of an API of this server says where its metadata are, and there they are.
func TestD15_D16_F3_TheServersOwnAPIsAreDescribed(t *testing.T) {
	for _, issuer := range []string{"", "https://login.example/tenant"} {
		n := start(t, options{issuer: issuer})
		if issuer == "" {
			issuer = n.url
		}
		path := mustURL(t, issuer).Path
		listed := n.at("").do("GET", "/.well-known/oauth-authorization-server"+path, "", "").ok(t, 200).json["protected_resources"]
		if fmt.Sprint(listed) != fmt.Sprintf("[%[1]s/userinfo %[1]s/admin/v1]", issuer) {
			t.Errorf("D7 %v", listed)
		}
		for api, address := range map[string]string{"/userinfo": "/userinfo", "/admin/v1": "/admin/v1/users"} {
			for _, token := range []string{"", "Bearer x.y.z"} {
				a := n.do("GET", address, "", "", header("Authorization", token))
				if token == "" {
					a = n.do("GET", address, "", "")
				}
				m := resourceMetadata.FindStringSubmatch(a.Header.Get("WWW-Authenticate"))
				if a.StatusCode != 401 || m == nil || m[1] != mustURL(t, issuer).Scheme+"://"+mustURL(t, issuer).Host+"/.well-known/oauth-protected-resource"+path+api {
					t.Fatalf("D16 %s %q: %d %v", api, token, a.StatusCode, a.Header)
				}
				d := n.at("").do("GET", mustURL(t, m[1]).Path, "", "").ok(t, 200)
				if d.str("resource") != issuer+api || fmt.Sprint(d.json["authorization_servers"]) != "["+issuer+"]" || fmt.Sprint(d.json["bearer_methods_supported"]) != "[header]" ||
					d.str("resource_name") == "" || d.json["dpop_signing_alg_values_supported"] == nil || d.json["scopes_supported"] == nil || d.Header.Get("Access-Control-Allow-Origin") != "*" || d.Header.Get("Content-Type") != "application/json" {
					t.Errorf("D15 %s: %s %v", api, d.body, d.Header)
				}
			}
		}
		// Elsewhere there is no such document, and no page that could pass for one.
		for _, place := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/token", "/userinfo/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration/mcp", "/mcp/.well-known/openid-configuration"} {
			n.at("").do("GET", place, "", "").nothing(t, "F3 "+place)
		}
	}
}

// What the metadata of an API call it works as a resource, and opens that API.
func TestD15_UserinfoIsAResource(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "oidc", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"authorization_code", "refresh_token"}), Scope: accounts.To("openid read"), RedirectURIs: accounts.To([]string{callback}), Audience: accounts.To([]string{"https://api.example"})}}))
	b := n.browser()
	me := n.url + "/userinfo"
	a := n.redeem(b.code(ask("client_id", "oidc", "scope", "openid", "resource", me)), basic("oidc", appSecret), "resource", me).ok(t, 200)
	if aud := n.verified(t, a.str("access_token"))["aud"]; fmt.Sprint(aud) != "["+me+"]" {
		t.Errorf("aud %v", aud)
	}
	n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+a.str("access_token"))).ok(t, 200)
	if q := b.through(ask("client_id", "oidc", "scope", "read", "resource", me)); q.Get("error") != "invalid_target" {
		t.Errorf("without openid: %v", q)
	}
	a = n.redeem(b.code(ask("client_id", "oidc", "scope", "openid")), basic("oidc", appSecret)).ok(t, 200)
	if aud := fmt.Sprint(n.verified(t, a.str("access_token"))["aud"]); aud != "[https://api.example]" {
		t.Errorf("without a resource it is %s", aud)
	}
}
