package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// entry is a client, user or webhook that the configuration file lists; of the
// first two, the members of the admin API's object. Secrets come from files, never from this one.
type entry struct {
	where  string
	dir    string
	kind   entryKind
	fields map[string]any
}

// entryKind is what an entry may say.
type entryKind struct {
	noun string
	// id is the member that names it.
	id string
	// members are those of the admin API, files those that are read from the
	// file "<member>_file" names.
	members, files []string
}

var (
	clientEntry = entryKind{"client", "client_id",
		[]string{"client_id", "client_name", "grant_types", "scope", "audience", "public", "token_endpoint_auth_method",
			"jwks", "jwks_uri", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "consent", "require_pushed_authorization_requests", "refresh_without_id_token", "cors_origins", "delivery", "cookie_name", "cookie_same_site", "cookie_path",
			"cookie_refresh_path", "cookie_domain", "bind_agent", "bind_address", "introspect", "admin", "access_token_ttl", "refresh_token_ttl",
			"session_ttl", "refresh_retry_window", "max_sessions", "dpop_bound_access_tokens", "exchange_audience", "password_grant_networks", "password_grant_scope",
			"password_grant_sunset", "client_secret_file", "jwks_file"},
		[]string{"client_secret", "jwks"}}
	userEntry = entryKind{"user", "username",
		[]string{"username", "sub", "roles", "claims", "password_file"},
		[]string{"password"}}
)

// entries reads one of the lists.
func (f *configFile) entries(n ast.Node, dir string, kind entryKind, wrong *faults) []entry {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		wrong.add(f.at(n), "%ss has to be a list, each beginning with \"- %s: …\"", kind.noun, kind.id)
		return nil
	}
	var all []entry
	for _, item := range seq.Values {
		m, ok := item.(*ast.MappingNode)
		if !ok {
			wrong.add(f.at(item), "a %s is written as members: \"- %s: …\"", kind.noun, kind.id)
			continue
		}
		e := entry{where: f.at(m.Values[0].Key), dir: dir, kind: kind, fields: map[string]any{}}
		for _, v := range m.Values {
			key := keyText(v)
			value, err := plain(v.Value)
			switch {
			case slices.Contains(kind.files, key) && !slices.Contains(kind.members, key):
				wrong.add(f.at(v.Key), "a secret does not belong into this file: put it into a file of its own and name that as %s_file", key)
			case !slices.Contains(kind.members, key):
				wrong.add(f.at(v.Key), "a %s has no %q%s", kind.noun, key, suggest(key, kind.members))
			case err != nil:
				wrong.add(f.at(v.Key), "%s: %v", key, err)
			case key == "max_sessions":
				if e.fields[key], err = strconv.Atoi(fmt.Sprint(value)); err != nil {
					wrong.add(f.at(v.Key), "max_sessions: %v is not a whole number", value)
				}
			default:
				e.fields[key] = value
			}
		}
		all = append(all, e)
	}
	return all
}

// name is what the entry is called.
func (e entry) name() string { s, _ := e.fields[e.kind.id].(string); return s }

// check reports what is wrong before anything is served, its files included.
func (e entry) check(wrong *faults) {
	if e.name() == "" {
		wrong.add(e.where, "this %s has no %s", e.kind.noun, e.kind.id)
		return
	}
	if _, err := e.body(); err != nil {
		wrong.add(e.where, "%s %s: %v", e.kind.noun, e.name(), err)
	}
	has := func(member string) bool { v, ok := e.fields[member]; return ok && v != false }
	if e.kind.noun == "client" && !has("public") && !has("client_secret_file") && !has("jwks") && !has("jwks_file") && !has("jwks_uri") &&
		e.fields["token_endpoint_auth_method"] != "none" {
		wrong.add(e.where, "client %s has nothing to prove itself with: give client_secret_file, jwks_file, jwks_uri or public: true", e.name())
	}
}

// body is the entry as the admin API takes it, with its files read.
func (e entry) body() (map[string]any, error) {
	body := map[string]any{}
	for k, v := range e.fields {
		member, isFile := strings.CutSuffix(k, "_file")
		if !isFile {
			body[k] = v
			continue
		}
		name, _ := v.(string)
		if name == "" {
			return nil, fmt.Errorf("%s has to name a file", k)
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(e.dir, name)
		}
		if member == "jwks" {
			set, err := readJWKS(name)
			if err != nil {
				return nil, err
			}
			body[member] = set
			continue
		}
		b, err := readLimited(name, mostSecret+2)
		if err != nil {
			return nil, fmt.Errorf("cannot read the %s: %w", strings.ReplaceAll(member, "_", " "), err)
		}
		secret, err := oneSecret(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		body[member] = secret
	}
	return body, nil
}

// keyText is the name of a member, with or without quotes around it.
func keyText(v *ast.MappingValueNode) string {
	if k, ok := v.Key.(*ast.StringNode); ok {
		return k.Value
	}
	return v.Key.String()
}

// plain is a YAML value as JSON has it. What YAML has beyond that (anchors,
// tags, merges) is refused: a configuration should read as it stands.
func plain(n ast.Node) (any, error) {
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return nil, errors.New("it has no value")
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.BoolNode:
		return v.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		// As it was written, so that a name such as 0123 keeps its zero.
		return v.GetToken().Value, nil
	case *ast.SequenceNode:
		items := make([]any, 0, len(v.Values))
		for _, item := range v.Values {
			one, err := plain(item)
			if err != nil {
				return nil, err
			}
			items = append(items, one)
		}
		return items, nil
	case *ast.MappingNode:
		members := map[string]any{}
		for _, m := range v.Values {
			one, err := plain(m.Value)
			if err != nil {
				return nil, err
			}
			members[keyText(m)] = one
		}
		return members, nil
	}
	return nil, fmt.Errorf("%s is more YAML than this file takes: write the value itself", strings.ToLower(n.Type().String()))
}
