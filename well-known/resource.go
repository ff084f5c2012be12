package wellknown

import "strings"

// Resource is an API of the server itself, as its metadata tell of it (RFC
// 9728).
type Resource struct {
	// Path is that of the API below the issuer. With the issuer before it, it is
	// the resource's identifier.
	Path   string
	Name   string
	Scopes []string
}

// resourceMetadata is the document of RFC 9728 §2.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported,omitempty"`
	ResourceName         string   `json:"resource_name,omitempty"`
}

func (c Config) resource(r Resource) resourceMetadata {
	return resourceMetadata{
		Resource: c.url(r.Path), AuthorizationServers: []string{c.Issuer}, ScopesSupported: r.Scopes,
		BearerMethods: []string{"header"}, DPoPAlgs: c.DPoPAlgs, ResourceName: r.Name,
	}
}

// ResourcePath is where the metadata of a resource are, on the host of its
// identifier (RFC 9728 §3.1): the well-known name is put before its path.
func ResourcePath(path string) string { return "/.well-known/oauth-protected-resource" + path }

// ResourceURL is the address of the metadata of a resource.
func ResourceURL(identifier string) string {
	scheme, rest, _ := strings.Cut(identifier, "://")
	host, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return scheme + "://" + host + ResourcePath(path)
}
