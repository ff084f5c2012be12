package grants

import (
	"net/url"
	"slices"

	"jeton/storage"
)

// resources are whom one access token is for: of the APIs that were granted, or
// without such a choice of all of the client's, those that are asked for now
// (RFC 8707 §2). One that the client has lost since is not among them.
func (s Settings) resources(client storage.Client, scope, granted, asked []string) ([]string, error) {
	usual := s.audience(client, scope)
	may := usual
	if slices.Contains(scope, ScopeOpenID) { // which opens it whatever the audience, so why not alone
		may = append(slices.Clone(may), s.Userinfo())
	}
	if len(granted) > 0 {
		now := may
		may = slices.DeleteFunc(slices.Clone(granted), func(a string) bool { return !slices.Contains(now, a) })
		usual = may
	}
	if len(usual) == 0 {
		return nil, fail(InvalidTarget, "the client has lost every resource of this grant", nil)
	}
	switch {
	case len(asked) == 0 && len(granted) == 0 && openClient(client):
		return []string{s.Issuer}, nil
	case len(asked) == 0:
		return usual, nil
	case len(asked) > 1 && openClient(client):
		return nil, fail(InvalidTarget, "such a client asks for one resource at a time", nil)
	}
	var out []string
	for _, a := range asked {
		i := slices.IndexFunc(may, func(m string) bool { return sameResource(m, a) })
		if i < 0 {
			return nil, fail(InvalidTarget, "the resource is not one that the client may ask tokens for", nil)
		}
		if a = may[i]; !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// sameResource compares byte by byte, but for the slash after a host that has no
// path: a client that has put a resource through a URL parser sends it with one
// (RFC 3986 §6.2.3). The token says what the API is called here.
func sameResource(known, asked string) bool {
	if known == asked {
		return true
	}
	u, err := url.Parse(known)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && (u.Path == "" && known+"/" == asked || u.Path == "/" && known == asked+"/")
}

// resourceOf are the APIs that a session shall be for. A client that described
// itself gets tokens for one API at a time, so that none of those APIs can use
// them at another; without a wish, and then for good, it is this server itself.
func (s Settings) resourceOf(client storage.Client, asked []string) []string {
	if len(asked) == 0 && openClient(client) {
		return []string{s.Issuer}
	}
	return asked
}
