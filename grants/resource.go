package grants

import (
	"slices"

	"jeton/storage"
)

// resources are whom one access token is for: of the APIs that were granted, or
// without such a choice of all of the client's, those that are asked for now
// (RFC 8707 §2). One that the client has lost since is not among them.
func (s Settings) resources(client storage.Client, scope, granted, asked []string) ([]string, error) {
	may := s.audience(client, scope)
	if len(granted) > 0 {
		now := may
		may = slices.DeleteFunc(slices.Clone(granted), func(a string) bool { return !slices.Contains(now, a) })
	}
	if len(may) == 0 {
		return nil, fail(InvalidTarget, "the client has lost every resource of this grant", nil)
	}
	if len(asked) == 0 {
		return may, nil
	}
	var out []string
	for _, a := range asked {
		if !slices.Contains(may, a) {
			return nil, fail(InvalidTarget, "the resource is not one that the client may ask tokens for", nil)
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}
