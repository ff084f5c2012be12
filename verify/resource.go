package verify

import (
	"encoding/json"
	"net/http"
	"net/url"
)

const resourceDocument = "oauth-protected-resource"

// resource is the document of RFC 9728 §2.
type resource struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
	Proofs   []string `json:"dpop_signing_alg_values_supported"`
}

// Metadata is where the metadata of this API are (RFC 9728), and what answers
// there: which authorization server its tokens come from, and the scopes that
// it knows, if given. Options.Resource has to be set.
//
//	mux.Handle(api.Metadata("orders:read", "orders:write"))
func (v *Verifier) Metadata(scopes ...string) (path string, h http.Handler) {
	u, err := url.Parse(v.metadataURL)
	if err != nil || v.metadataURL == "" {
		panic("verify: Metadata needs Options.Resource")
	}
	body, err := json.Marshal(resource{v.o.Resource, []string{v.o.Issuer}, scopes, []string{"header"}, v.o.Algorithms})
	if err != nil {
		panic("verify: " + err.Error()) // strings always encode
	}
	return u.EscapedPath(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(body)
	})
}
