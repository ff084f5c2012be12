package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jeton/accounts"
	"jeton/keys"
	"jeton/passwords"
	"jeton/storage"
	"jeton/storage/redis"
	"jeton/traces"
)

// maxRetryWindow bounds promise 3: a longer window helps no client and a thief
// more each second.
const maxRetryWindow = storage.Duration(time.Minute)

// maxShutdownDelay is more than any load balancer takes to notice.
const maxShutdownDelay = storage.Duration(5 * time.Minute)

// maxPromotionWait is well below the age at which keys are rotated.
const maxPromotionWait = storage.Duration(7 * storage.Day)

// maxHistory bounds what looking back costs the store.
const maxHistory = storage.Duration(90 * storage.Day)

// maxLife bounds how long a retired key has to stay in the ring, see
// [keys.Config].
var maxLife = map[string]storage.Duration{
	"access-token-ttl":  storage.Duration(storage.Day),
	"refresh-token-ttl": storage.Duration(400 * storage.Day),
	"session-ttl":       storage.Duration(400 * storage.Day),
	"signin-idle-ttl":   storage.Duration(400 * storage.Day),
	"signin-ttl":        storage.Duration(400 * storage.Day),
	"console-max-age":   storage.Duration(storage.Day),
}

// check reports what is wrong between settings that are fine one by one.
func (s *Settings) check(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	if s.onRedis() {
		s.checkRedis(wrong)
	} else if _, err := sqliteFile(s.Store.String()); err != nil {
		add("store", "%v", err)
	}
	if s.masterKey != "" {
		if s.MasterKeyFile != "" {
			add("master-key-file", "JETON_MASTER_KEY is set too: give the master key in one place only")
		}
		if _, err := keys.LoadMaster("", s.masterKey); err != nil {
			wrong.add("JETON_MASTER_KEY", "%s", strings.TrimPrefix(plainWords(err), "JETON_MASTER_KEY "))
		}
	}
	s.checkLifetimes(wrong)
	s.checkOpenClients(wrong)

	if !slices.Contains([]number{2048, 3072, 4096}, s.RSABits) {
		add("rsa-bits", "%d is not one of 2048, 3072 and 4096", s.RSABits)
	}
	if s.KeyPromotionWait < 0 || s.KeyPromotionWait > maxPromotionWait {
		add("key-promotion-wait", "%s is not from 0s to %s", s.KeyPromotionWait, maxPromotionWait)
	}
	if s.PasswordMinLength < 8 || s.PasswordMinLength > 64 {
		add("password-min-length", "%d is not between 8 and 64 (NIST SP 800-63B)", s.PasswordMinLength)
	}
	if s.KDFMemory > 256<<10 || s.KDFTime > 100 || s.KDFConcurrency > 1024 {
		add("kdf-memory", "hashing a password this way would never end: stay at 262144 KiB, 100 passes and 1024 at once, or below")
	}
	if name := s.ServiceName.String(); name == "" || len(name) > 80 {
		add("service-name", "a name for the pages has 1 to 80 bytes")
	}
	if s.MaxSessions < 1 {
		add("max-sessions", "a user needs at least 1 session")
	}
	s.checkRegistration(wrong)
}

// checkLifetimes refuses pairs that would surprise.
func (s *Settings) checkLifetimes(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	for _, name := range []string{"access-token-ttl", "refresh-token-ttl", "session-ttl"} {
		if d := *s.duration(name); d < storage.Duration(time.Second) {
			add(name, "%s is too short: a token has to live for a second at least", d)
		} else if most := maxLife[name]; d > most {
			add(name, "%s is too long: signing keys are kept until their last token is dead, so stay at %s or below", d, most)
		}
	}
	for _, name := range []string{"signin-idle-ttl", "signin-ttl", "console-max-age"} {
		if d := *s.duration(name); d < storage.Duration(time.Minute) || d > maxLife[name] {
			add(name, "%s is not between 1m and %s", d, maxLife[name])
		}
	}
	for _, w := range []struct {
		name        string
		least, most storage.Duration
	}{{"device-code-ttl", storage.Duration(time.Minute), storage.Duration(time.Hour)}, {"device-interval", storage.Duration(time.Second), storage.Duration(time.Minute)}} {
		if d := *s.duration(w.name); d < w.least || d > w.most || time.Duration(d)%time.Second != 0 {
			add(w.name, "%s is not whole seconds from %s to %s", d, w.least, w.most)
		}
	}
	if d := s.EventHistory; d < 0 || d > maxHistory {
		add("event-history", "%s is not from 0s to %s: keep the audit log for longer than that", d, maxHistory)
	}
	if d := s.ClientSecretOverlap; d < 0 || d > storage.Duration(accounts.MostSecretOverlap) {
		add("client-secret-overlap", "%s is not from 0s to %s", d, storage.Duration(accounts.MostSecretOverlap))
	}
	if s.RefreshRetryWindow > maxRetryWindow {
		add("refresh-retry-window", "%s is too long: what helps a client that lost an answer helps a thief too, so stay at 1m or below (10s is usual)", s.RefreshRetryWindow)
	}
}

// duration is the setting of that name.
func (s *Settings) duration(name string) *storage.Duration {
	for _, row := range table() {
		if d, ok := row.value(s).(*storage.Duration); ok && row.name == name {
			return d
		}
	}
	panic("no duration is called " + name)
}

// checkServing is check for those who serve: it also looks into the files that
// only they have to be able to read. Other commands pass over it, so that they
// work beside a server whose flags they do not repeat.
//
// Secrets are not sent over a wire in clear text unless told to (RFC 6749
// §3.2, RFC 9700 §2.6).
func (s *Settings) checkServing(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	if s.ShutdownDelay < 0 || s.ShutdownDelay > maxShutdownDelay {
		wrong.add(s.source("shutdown-delay"), "%s is not from 0s to %s", s.ShutdownDelay, maxShutdownDelay)
	}
	if s.TracesEndpoint != "" {
		if err := traces.CheckEndpoint(s.TracesEndpoint.String()); err != nil {
			add("traces-endpoint", "%v", err)
		}
	}
	if s.MaxConnections < 1 {
		add("max-connections", "a server needs at least 1 connection")
	}
	for _, e := range slices.Concat(s.Clients, s.Users) {
		e.check(wrong)
	}
	s.checkWebhooks(wrong)
	s.checkMail(wrong)
	s.checkPasswords(wrong)
	if (s.TLSCert == "") != (s.TLSKey == "") {
		add("tls-cert", "--tls-cert and --tls-key belong together: give both")
	} else if s.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(s.TLSCert.String(), s.TLSKey.String()); err != nil {
			add("tls-cert", "the certificate and its key cannot be used: %v", err)
		}
	}
	host, _, err := net.SplitHostPort(s.Listen.String())
	if err != nil {
		add("listen", "%q is not an address such as 127.0.0.1:9096", s.Listen)
		return
	}
	if !isLoopback(host) && s.TLSCert == "" && !bool(s.Insecure) {
		add("listen", "%s can be reached from other machines, where passwords would travel in clear text: give --tls-cert and --tls-key, or --insecure behind a proxy that speaks https", s.Listen)
	}
	switch {
	case s.Issuer != "":
		if err := checkIssuer(s.Issuer.String(), bool(s.Insecure)); err != nil {
			add("issuer", "%v", err)
		}
	case isUnspecified(host):
		add("listen", "%s names no host that clients could call: say with --issuer how they reach this server, such as https://login.example.com", s.Listen)
	}
	if s.MetricsListen != "off" {
		if _, _, err := net.SplitHostPort(s.MetricsListen.String()); err != nil {
			add("metrics-listen", "%q is neither an address such as 127.0.0.1:9097 nor off", s.MetricsListen)
		}
	}
}

// checkPasswords asks package passwords, which knows what is too weak.
func (s *Settings) checkPasswords(wrong *faults) {
	if len(*wrong) > 0 {
		return // some of it may be what is asked about
	}
	config := s.passwordConfig("")
	if config.RefusedFile != "" {
		if f, err := os.Open(config.RefusedFile); err != nil {
			wrong.add(s.source("password-blocklist"), "the file of refused passwords cannot be read: %v", err)
		} else {
			f.Close()
		}
		config.RefusedFile = ""
	}
	if _, err := passwords.New(config); err != nil {
		wrong.add(s.source("kdf-memory"), "%s", plainWords(err))
	}
}

// checkIssuer holds RFC 8414 §2 (https, no query, no fragment), and refuses
// the trailing slash, over which clients that compare byte by byte stumble.
func checkIssuer(issuer string, insecure bool) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("%q is not an address such as https://login.example.com", issuer)
	case u.User != nil:
		return fmt.Errorf("%q has a user name in it: leave that out", issuer)
	case strings.ContainsAny(issuer, "?#"):
		return fmt.Errorf("%q has a query or fragment: leave that out (RFC 8414 §2)", issuer)
	case strings.HasSuffix(issuer, "/"):
		return fmt.Errorf("%q ends with a slash: write %s", issuer, strings.TrimRight(issuer, "/"))
	case u.Path != "" && (strings.Contains(u.Path, "//") || strings.Contains(u.EscapedPath(), "%") || strings.Contains(u.Path+"/", "/./") || strings.Contains(u.Path+"/", "/../")):
		return fmt.Errorf("%q has a path that proxies rewrite: use plain segments such as /auth", issuer)
	case u.Host != strings.ToLower(u.Host):
		return fmt.Errorf("%q has upper case in its host, which clients compare byte by byte: write %s", issuer, strings.Replace(issuer, u.Host, strings.ToLower(u.Host), 1))
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !insecure:
		return fmt.Errorf("%q is not https, so tokens could be read on the way: use https, or --insecure on a network you trust", issuer)
	}
	return nil
}

// issuerOf is the default issuer of a listener.
func issuerOf(listen string, addr net.Addr, secure bool) string {
	scheme, usual := "http", "80"
	if secure {
		scheme, usual = "https", "443"
	}
	host, _, _ := net.SplitHostPort(listen)
	_, port, _ := net.SplitHostPort(addr.String())
	if port == usual {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + strings.ToLower(host)
	}
	return scheme + "://" + strings.ToLower(net.JoinHostPort(host, port))
}

// isLoopback reports whether nobody beyond this machine reaches the host.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// isUnspecified reports whether the host stands for all addresses.
func isUnspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}

// sqliteFile is the file of a store such as sqlite:jeton-data/jeton.db.
func sqliteFile(store string) (string, error) {
	file, ok := strings.CutPrefix(store, "sqlite:")
	switch {
	case isRedis(store):
		return "", errors.New("this is done to SQLite files only: a Redis is backed up and looked over with its own tools")
	case !ok:
		return "", fmt.Errorf("%q is not a store this version knows: write sqlite:FILE, such as sqlite:jeton-data/jeton.db, or redis://HOST", redis.Redact(store))
	case file == "" || strings.HasSuffix(file, "/"):
		return "", fmt.Errorf("%q names no file: write sqlite:FILE, such as sqlite:jeton-data/jeton.db", store)
	case strings.HasPrefix(file, "//"):
		return "", fmt.Errorf("%q is not a file name: write sqlite:/absolute/path or sqlite:relative/path", store)
	case strings.ContainsAny(file, "?#\x00"):
		return "", fmt.Errorf("%q has a ?, # or NUL in it, which SQLite would not take for a part of the name", store)
	}
	return file, nil
}

// dataDir is where the SQLite file stands, and what is kept beside it; for a
// store that is no file, where that would be by default.
func (s *Settings) dataDir() string {
	if s.onRedis() {
		return "jeton-data"
	}
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return ""
	}
	return filepath.Dir(file)
}

// socketPath is where the server is reached.
func (s *Settings) socketPath() string {
	if s.AdminSocket != "" {
		return s.AdminSocket.String()
	}
	return filepath.Join(s.dataDir(), "admin.sock")
}
