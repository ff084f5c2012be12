package clients

import (
	"errors"
	"strings"
	"testing"

	"jeton/storage"
)

func TestDelivery(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*storage.Client)
		want   string // in the only fault; empty for none
	}{
		{"as it is", func(*storage.Client) {}, ""},
		{"all that can be set", func(c *storage.Client) {
			c.CookieName, c.CookieSameSite, c.CookiePath, c.CookieRefreshPath, c.CookieDomain = "shop_1.x", "lax", "/api", "/", "shop.example"
		}, ""},
		{"another way", func(c *storage.Client) { c.Delivery, c.CORSOrigins = "header", nil }, "delivery"},
		{"W15 a client with a secret", func(c *storage.Client) { c.AuthMethod, c.SecretHash = "", HashSecret(strings.Repeat("x", 32)) }, "delivery"},
		{"W11 no origins", func(c *storage.Client) { c.CORSOrigins = nil }, "cors_origins"},
		{"a token that administers", func(c *storage.Client) { c.Scopes, c.Admin = []string{"jeton:admin"}, true }, "scope"},
		{"SameSite=None", func(c *storage.Client) { c.CookieSameSite = "none" }, "cookie_same_site"},
		{"a prefix in the name", func(c *storage.Client) { c.CookieName = "__Host-x" }, "cookie_name"},
		{"a name that ends the header", func(c *storage.Client) { c.CookieName = "a; Domain=b" }, "cookie_name"},
		{"a name that is too long", func(c *storage.Client) { c.CookieName = strings.Repeat("x", 41) }, "cookie_name"},
		{"a path that ends the header", func(c *storage.Client) { c.CookiePath = "/; Domain=b" }, "cookie_path"},
		{"a path without a slash", func(c *storage.Client) { c.CookiePath = "api" }, "cookie_path"},
		{"another such path", func(c *storage.Client) { c.CookieRefreshPath = "//x" }, "cookie_refresh_path"},
		{"a domain with a dot before", func(c *storage.Client) { c.CookieDomain = ".shop.example" }, "cookie_domain"},
		{"a domain of all", func(c *storage.Client) { c.CookieDomain = "com" }, "cookie_domain"},
		{"a domain in capitals", func(c *storage.Client) { c.CookieDomain = "Shop.example" }, "cookie_domain"},
		{"an address", func(c *storage.Client) { c.CookieDomain = "127.0.0.1" }, "cookie_domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := storage.Client{
				ID: "shop", AuthMethod: storage.AuthNone, Grants: []string{"password", "refresh_token"}, Delivery: storage.DeliveryCookie,
				CORSOrigins: []string{"https://shop.example"},
			}
			tt.change(&c)
			err := Validate(c)
			var bad *MetadataError
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want == "":
			case !errors.As(err, &bad) || len(bad.Faults) != 1 || !strings.HasPrefix(bad.Faults[0], tt.want+":"):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSameCookies(t *testing.T) {
	client := func(id string, change func(*storage.Client), origins ...string) storage.Client {
		c := storage.Client{ID: id, Delivery: storage.DeliveryCookie, CORSOrigins: origins}
		if change != nil {
			change(&c)
		}
		return c
	}
	named := func(name string) func(*storage.Client) { return func(c *storage.Client) { c.CookieName = name } }
	domain := func(c *storage.Client) { c.CookieDomain = "example.com" }
	shop := client("shop", nil, "https://shop.example.com")
	for _, c := range []struct {
		what string
		a, b storage.Client
		same bool
	}{
		{"one host", shop, client("till", nil, "https://a.example", "https://shop.example.com"), true},
		{"another port", shop, client("till", nil, "https://shop.example.com:8443"), true},
		{"itself", shop, shop, false},
		{"another host", shop, client("till", nil, "https://till.example.com"), false},
		{"another name", shop, client("till", named("till"), "https://shop.example.com"), false},
		{"one name", client("shop", named("s"), "https://shop.example.com"), client("till", named("s"), "https://shop.example.com"), true},
		{"in bodies", shop, client("till", func(c *storage.Client) { c.Delivery = "" }, "https://shop.example.com"), false},
		{"one domain", client("shop", domain, "https://shop.example.com"), client("till", domain, "https://till.example.com"), true},
		{"a domain, and a host in it with another prefix", client("shop", domain, "https://shop.example.com"), client("till", nil, "https://till.example.com"), false},
		{"a domain, and a host that ends like it", client("shop", domain, "https://shop.example.com"), client("till", func(c *storage.Client) { c.CookieDomain = "notexample.com" }, "https://till.notexample.com"), false},
		{"both prefixes differ", shop, client("till", func(c *storage.Client) { c.CookiePath, c.CookieRefreshPath = "/api", "/" }, "https://shop.example.com"), false},
		{"one prefix differs", shop, client("till", func(c *storage.Client) { c.CookieRefreshPath = "/" }, "https://shop.example.com"), true},
	} {
		if got := SameCookies(c.a, c.b); got != c.same || SameCookies(c.b, c.a) != got {
			t.Errorf("%s: %v, want %v", c.what, got, c.same)
		}
	}
}
