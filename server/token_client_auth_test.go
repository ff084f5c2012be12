package server_test

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
)

// b64 is a Basic header with user and password as they are, not form-encoded.
func b64(userpass string) func(*http.Request) {
	return rawBasic(base64.StdEncoding.EncodeToString([]byte(userpass)))
}

// seed writes a client as it is, past the rules for new ones.
func (n *node) seed(c storage.Client) {
	n.t.Helper()
	_, err := n.store.Commit(n.t.Context(), storage.Change{Partition: storage.ClientPartition(c.ID), Puts: []storage.Put{
		{Key: storage.ClientKey(c.ID), Value: storage.Encode(c), Index: storage.ClientIndex(c)},
	}})
	must(n.t, err)
}

func TestTokenClientAuth(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	for id, method := range map[string]string{"only-basic": storage.AuthBasic, "only-post": storage.AuthPost} {
		must(t, n.addClient(accounts.NewClient{ID: id, Secret: appSecret, ClientSettings: accounts.ClientSettings{
			AuthMethod: accounts.To(method), Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{callback}), Scope: accounts.To("read")}}))
	}
	h := n.holder()
	machine := form("grant_type", "client_credentials")
	works := func(t *testing.T, a answer) {
		t.Helper()
		a.want(t, 200, "")
		if a.str("access_token") == "" {
			t.Errorf("no token: %s", a.body)
		}
	}

	t.Run("T11 T22 Basic", func(t *testing.T) {
		works(t, h.post("/token", machine, app))
		h.refused(t, h.post("/token", h.refreshForm(), basic("app", appSecret+"x")), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm(), basic("app", appSecret[:len(appSecret)-1])), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm(), basic("app", "")), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm(), basic("nobody", appSecret)), 401, "invalid_client")
		for _, scheme := range []string{"Bearer ", "Digest ", "Negotiate ", "", "Basically ", "Basic\t", "Basic"} {
			value := base64.StdEncoding.EncodeToString([]byte("app:" + appSecret))
			h.refused(t, h.post("/token", h.refreshForm(), header("Authorization", scheme+value)), 401, "invalid_client")
			// The secret in the body does not help where the header fails.
			h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_secret", appSecret),
				header("Authorization", scheme+value)), 401, "invalid_client")
		}
	})

	t.Run("T12 post", func(t *testing.T) {
		works(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "app", "client_secret", appSecret)))
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_secret", "x")), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "nobody", "client_secret", appSecret)), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm("client_secret", appSecret)), 401, "invalid_client")
	})

	t.Run("T13 Basic is form-encoded", func(t *testing.T) {
		const exact = "Y2xpZW50JTNBMSslQzMlQTk6cCUyNXMlMkJ3JTJGKyUyNQ=="
		// Outside RFC 6749 appendix A.1, so no such client can exist; but the
		// log shows that the id was read as it was meant.
		h.refused(t, h.post("/token", machine, rawBasic(exact)), 401, "invalid_client")
		found := false
		for _, line := range h.lines(0) {
			found = found || line["client_id"] == "client:1 é"
		}
		if !found {
			t.Errorf("no line of the log names the client of the vector")
		}
		h.seed(storage.Client{ID: "client:1 e", SecretHash: clients.HashSecret("p%s+w/ %"), Grants: grants.Types(), Scopes: []string{"read"}})
		raw, err := base64.StdEncoding.DecodeString(exact)
		must(t, err)
		_, secret, _ := strings.Cut(string(raw), ":")
		works(t, h.post("/token", machine, b64("client%3A1+e:"+secret)))
		works(t, h.post("/token", machine, basic("client:1 e", "p%s+w/ %")))
		works(t, h.post("/token", machine, b64("%63lient%3a1%20e:"+secret)))
		for _, wrong := range []string{"client:1 e:p%s+w/ %", "client%3A1+e:p%s+w/ %", "client%3A1+e:p%25s+w%2F+%25"} {
			h.refused(t, h.post("/token", machine, b64(wrong)), 401, "invalid_client")
		}
	})

	t.Run("T14 a made secret works without the encoding", func(t *testing.T) {
		_, secret, err := h.clients.Add(t.Context(), accounts.NewClient{ID: "made", ClientSettings: accounts.ClientSettings{
			Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{callback})}}, accounts.Act{Operator: true})
		must(t, err)
		if secret != url.QueryEscape(secret) {
			t.Errorf("a secret that needs escaping was made")
		}
		works(t, h.post("/token", machine, b64("made:"+secret)))
		works(t, h.post("/token", machine, basic("made", secret)))
		h.rows = h.stored()
	})

	t.Run("T15 broken Basic headers", func(t *testing.T) {
		for _, value := range []string{
			"", "!!!!", "YXBw", "YXBwOg", "=", "YXBwOmFwcA=\x20=", "YXBw\tOg==", strings.Repeat("A", 100_000),
		} {
			h.refused(t, h.post("/token", machine, rawBasic(value)), 401, "invalid_client")
		}
		for _, userpass := range []string{
			"", ":", "app", "app:%zz", "%zz:" + appSecret, "app:" + appSecret + "\x00", "a\x00pp:" + appSecret, "app%00:" + appSecret,
			":" + appSecret, "app:" + appSecret + "%", "\xff\xfe:\xff", "%ff:%ff", "app\n:" + appSecret, " app:" + appSecret, "APP:" + appSecret,
			strings.Repeat("a", 100_000) + ":x", "app:" + strings.Repeat("x", 100_000), "../app:" + appSecret, "app' OR '1'='1:x",
		} {
			h.refused(t, h.post("/token", machine, b64(userpass)), 401, "invalid_client")
		}
		h.refused(t, h.post("/token", machine, app, header("Authorization", "Basic eDp5")), 400, "invalid_request")
	})

	t.Run("T16 the scheme has no case", func(t *testing.T) {
		for _, scheme := range []string{"basic", "BASIC", "bAsIc", "Basic "} {
			works(t, h.post("/token", machine, header("Authorization", scheme+" "+base64.StdEncoding.EncodeToString([]byte("app:"+appSecret)))))
		}
	})

	t.Run("T17 two ways at once", func(t *testing.T) {
		const bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		h.refused(t, h.post("/token", h.refreshForm("client_secret", appSecret), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_secret", appSecret), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("client_assertion", "x.y.z", "client_assertion_type", bearer), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_secret", appSecret,
			"client_assertion", "x.y.z", "client_assertion_type", bearer)), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("client_assertion", "x.y.z", "client_assertion_type", bearer)), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_assertion_type", bearer)), 401, "invalid_client")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app", "client_assertion", "x.y.z", "client_assertion_type", "x")), 401, "invalid_client")
	})

	t.Run("T18 client_id beside Basic", func(t *testing.T) {
		works(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "app"), app))
		h.refused(t, h.post("/token", h.refreshForm("client_id", "other"), app), 400, "invalid_request")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "App"), app), 400, "invalid_request")
	})

	t.Run("T19 a confidential client without credentials", func(t *testing.T) {
		h.refused(t, h.post("/token", h.refreshForm("client_id", "app")), 401, "invalid_client")
		h.refused(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "app")), 401, "invalid_client")
	})

	t.Run("T20 a registered method is the only one", func(t *testing.T) {
		post := func(id string) url.Values {
			return form("grant_type", "client_credentials", "client_id", id, "client_secret", appSecret)
		}
		works(t, h.post("/token", machine, basic("only-basic", appSecret)))
		works(t, h.post("/token", post("only-post")))
		h.refused(t, h.post("/token", post("only-basic")), 401, "invalid_client")
		h.refused(t, h.post("/token", machine, basic("only-post", appSecret)), 401, "invalid_client")
	})

	t.Run("T21 public clients", func(t *testing.T) {
		login := h.post("/token", loginForm("client_id", "spa"))
		works(t, login)
		h.rows = h.stored()
		refresh := form("grant_type", "refresh_token", "refresh_token", login.str("refresh_token"))
		h.refused(t, h.post("/token", refresh), 401, "invalid_client")
		refresh.Set("client_id", "spa")
		with := maps.Clone(refresh)
		with.Set("client_secret", "x")
		h.refused(t, h.post("/token", with), 401, "invalid_client")
		h.refused(t, h.post("/token", refresh, basic("spa", "x")), 401, "invalid_client")
		h.refused(t, h.post("/token", refresh, basic("spa", "")), 401, "invalid_client")
		works(t, h.post("/token", refresh))
		h.rows = h.stored()
	})

	t.Run("T23 every refusal reads the same", func(t *testing.T) {
		must(t, h.addClient(accounts.NewClient{ID: "disabled", Secret: appSecret, ClientSettings: accounts.ClientSettings{Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{callback})}}))
		_, err := h.clients.Disable(t.Context(), "disabled", accounts.Act{Operator: true})
		must(t, err)
		h.rows = h.stored()
		first := h.post("/token", h.refreshForm(), basic("app", "wrong"))
		for what, a := range map[string]answer{
			"unknown client":    h.post("/token", h.refreshForm(), basic("nobody", appSecret)),
			"impossible client": h.post("/token", h.refreshForm(), basic("no\x00body", appSecret)),
			"no client":         h.post("/token", h.refreshForm()),
			"disabled":          h.post("/token", h.refreshForm(), basic("disabled", appSecret)),
			"wrong method":      h.post("/token", h.refreshForm(), basic("only-post", appSecret)),
			"no secret":         h.post("/token", h.refreshForm("client_id", "app")),
			"public with one":   h.post("/token", h.refreshForm(), basic("spa", appSecret)),
			"post":              h.post("/token", h.refreshForm("client_id", "app", "client_secret", "wrong")),
			"other scheme":      h.post("/token", h.refreshForm(), header("Authorization", "Bearer x")),
			"assertion":         h.post("/token", h.refreshForm("client_assertion", "x.y.z", "client_assertion_type", "x")),
		} {
			for _, own := range []string{"Date", "X-Request-Id"} {
				a.Header.Del(own)
				first.Header.Del(own)
			}
			if !bytes.Equal(a.body, first.body) || a.StatusCode != 401 || !maps.EqualFunc(a.Header, first.Header, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
				t.Errorf("%s differs: %d %v %s", what, a.StatusCode, a.Header, a.body)
			}
		}
		h.rotate(t)
	})

	t.Run("R1 client_credentials", func(t *testing.T) {
		a := h.post("/token", machine, app)
		works(t, a)
		if _, ok := a.json["refresh_token"]; ok {
			t.Errorf("a refresh token for a client: %s", a.body)
		}
		claims := segment(t, a.str("access_token"), 1)
		if claims["sub"] != "app" || claims["sid"] != nil || claims["roles"] != nil {
			t.Errorf("claims %v", claims)
		}
		h.seed(storage.Client{ID: "forced", AuthMethod: storage.AuthNone, Grants: grants.Types()})
		h.refused(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "forced")), 400, "unauthorized_client")
		h.refused(t, h.post("/token", form("grant_type", "client_credentials", "client_id", "spa")), 400, "unauthorized_client")
	})
}
