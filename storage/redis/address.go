package redis

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Address is where a Redis is and how it is reached, without its password.
type Address struct {
	Hosts    []string
	Master   string // the name that the Sentinels at Hosts know it by
	Cluster  bool
	TLS      bool
	Database int
	User     string

	password string
}

// Schemes are the beginnings of addresses of a Redis.
var Schemes = []string{"redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://"}

// ParseURL reads an address:
//
//	redis://[user@]host[:port][/database]
//	redis+sentinel://[user@]sentinel[:port],sentinel[:port]/master[/database]
//	redis+cluster://[user@]host[:port],host[:port]
//
// With rediss the connections use TLS.
func ParseURL(raw string) (Address, error) {
	var a Address
	scheme, rest, ok := strings.Cut(raw, "://")
	kind := ""
	if scheme, kind, _ = strings.Cut(scheme, "+"); !ok || scheme != "redis" && scheme != "rediss" || kind != "" && kind != "sentinel" && kind != "cluster" {
		return a, fmt.Errorf("the address of a Redis begins with one of %s", strings.Join(Schemes, ", "))
	}
	a.TLS, a.Cluster = scheme == "rediss", kind == "cluster"
	rest, query, _ := strings.Cut(rest, "?")
	if query != "" {
		return a, fmt.Errorf("the address of a Redis takes no parameters: there are settings for them")
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		u, err := url.Parse("redis://" + hosts[:at+1] + "host")
		if err != nil {
			return a, fmt.Errorf("user and password in the address are not written as in a URL: encode signs such as @ and / (%%40, %%2F), or give the password with --redis-password-file")
		}
		a.User = u.User.Username()
		a.password, _ = u.User.Password()
		hosts = hosts[at+1:]
	}
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
		a.Master, path, _ = strings.Cut(path, "/")
		if a.Master == "" {
			return a, fmt.Errorf("the address names no master: redis+sentinel://sentinel1,sentinel2/NAME, with the name that the Sentinels watch it under")
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		h, err := withPort(strings.TrimSpace(host), port)
		if err != nil {
			return a, err
		}
		a.Hosts = append(a.Hosts, h)
	}
	if kind == "" && len(a.Hosts) > 1 {
		return a, fmt.Errorf("several hosts are a cluster or Sentinels: write redis+cluster:// or redis+sentinel://")
	}
	return a, a.database(path)
}

func (a *Address) database(path string) (err error) {
	if path == "" {
		return nil
	}
	if a.Cluster {
		return fmt.Errorf("a Redis Cluster has only the database 0: leave out /%s", path)
	}
	if a.Database, err = strconv.Atoi(path); err != nil || a.Database < 0 {
		return fmt.Errorf("%q is not the number of a database", path)
	}
	return nil
}

func withPort(host, port string) (string, error) {
	if host == "" {
		return "", fmt.Errorf("the address names no host")
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || h == "" {
			return "", fmt.Errorf("%q is not host:port", host)
		}
		return host, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(bare); err != nil && strings.ContainsAny(bare, ":[]") {
		return "", fmt.Errorf("%q is not host:port", host)
	}
	return net.JoinHostPort(bare, port), nil
}

var passwordPart = regexp.MustCompile(`^([a-z+]+://[^/@]*?:)[^/]*@`)

// Redact hides the password of an address.
func Redact(raw string) string { return passwordPart.ReplaceAllString(raw, "${1}(hidden)@") }
