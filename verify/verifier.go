package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// staleAfter is the default of Options.StaleAfter: how long a list of
	// Jeton is valid from the moment of which it speaks.
	staleAfter = 5 * time.Minute
	// leastStaleAfter is what a few failed requests take.
	leastStaleAfter = 10 * time.Second
	leeway          = 10 * time.Second
	mostLeeway      = time.Minute
)

// Options say whose tokens are accepted, and for what.
type Options struct {
	// Issuer is the issuer, byte for byte as it stands in tokens. Its keys and
	// lists are found from it (RFC 8414).
	Issuer string
	// Audience are the names of this API: a token has to be for one of them.
	Audience []string

	// Algorithms are those that tokens and lists may be signed with: RS256,
	// PS256, ES256 and EdDSA by default.
	Algorithms []string
	// Leeway is how far the clock here and the issuer's may differ: 10 s by
	// default, at most a minute, none when negative.
	Leeway time.Duration

	// StaleAfter is how long tokens are judged by what is known while the
	// issuer does not answer: 5 min by default, which is also how long a list
	// is valid. More stretches both. Less, 10 s at least, has the issuer asked
	// more often: a request waits for no longer than half of it.
	StaleAfter time.Duration
	// WhenStale, when set, is asked instead of refusing a token by knowledge
	// that is older than StaleAfter: nil lets it pass, marked by Token.Stale.
	// It is called at each verification, and can count or report. It is not
	// asked where nothing is known at all.
	WhenStale func(t *Token, age time.Duration) error

	// NoStatus is for issuers without status lists. A token that was revoked
	// is then accepted until it expires.
	NoStatus bool
	// NoWait polls lists by their ttl (15 s of Jeton) instead of waiting for
	// changes.
	NoWait bool

	// Resource is the URL of this API, its identifier by RFC 9728. When set,
	// refusals say where its metadata are; serve those by [Verifier.Metadata].
	Resource string
	// Realm stands in challenges: "api" by default.
	Realm string
	// URL is the address that a client has called, as it knows it: proofs of
	// possession name it. By default that is the path of the request below the
	// origin of Resource, or without one of the request's own host.
	URL func(r *http.Request) string
	// Cookie, when set, takes the token from a cookie where a request has no
	// Authorization header.
	Cookie *Cookie

	// HTTP makes the requests to the issuer. Its Timeout and CheckRedirect are
	// not used: each request is bounded, and no redirect followed. A Transport
	// of yours that speaks HTTP/2 has to find out by itself when a connection
	// is dead (http.HTTP2Config.SendPingTimeout).
	HTTP *http.Client
	// Insecure permits an issuer without https that is not on this machine.
	Insecure bool
	// Log is told when keys or lists cannot be refreshed, and when they can
	// again. By default that is slog's own.
	Log *slog.Logger
}

// Verifier checks tokens. It is safe for concurrent use; one is enough for a
// program.
type Verifier struct {
	o    Options
	http http.Client
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup

	keys  keySet
	lists lists
	csrf  csrf
	// origin is that of Options.Resource.
	origin string
	proofs usedProofs
	// metadataURL is that of Options.Resource (RFC 9728 §3.1).
	metadataURL string
	passed      atomic.Uint64
	stales      atomic.Uint64
	refuses     map[Reason]*atomic.Uint64
}

// New returns a verifier, which begins to fetch keys and goes on until Close.
// It fails only for what is wrong with the options: an issuer that is away is
// tried again.
func New(o Options) (*Verifier, error) {
	v := &Verifier{o: o, refuses: make(map[Reason]*atomic.Uint64)}
	if err := v.complete(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	for _, r := range reasons {
		v.refuses[r] = new(atomic.Uint64)
	}
	if v.o.HTTP != nil {
		v.http = *v.o.HTTP
	} else {
		v.http.Transport = transport(pingAfter, pingTime)
	}
	v.http.Timeout = 0
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	v.ctx, v.stop = context.WithCancel(context.Background())
	v.keys.v, v.lists.v = v, v
	v.keys.wake = make(chan struct{}, 1)
	v.lists.held = make(map[string]*list)
	v.work.Go(v.keys.follow)
	return v, nil
}

// complete checks the options and fills in defaults.
func (v *Verifier) complete() error {
	o := &v.o
	issuer, err := url.Parse(o.Issuer)
	switch {
	case o.Issuer == "":
		return errors.New("Options.Issuer is missing")
	case err != nil || issuer.Host == "" || issuer.User != nil || strings.ContainsAny(o.Issuer, "?#"):
		return fmt.Errorf("Options.Issuer %q is not a URL such as https://auth.example.com", o.Issuer)
	case issuer.Scheme != "https" && (issuer.Scheme != "http" || !o.Insecure && !onThisMachine(issuer.Hostname())):
		return fmt.Errorf("Options.Issuer %q is not https: anybody on the way could publish keys; Options.Insecure permits that", o.Issuer)
	case len(o.Audience) == 0 || slices.Contains(o.Audience, ""):
		return errors.New("Options.Audience is missing: tokens for other APIs would be accepted")
	case o.Leeway > mostLeeway:
		return fmt.Errorf("Options.Leeway is at most %v", mostLeeway)
	case o.StaleAfter != 0 && o.StaleAfter < leastStaleAfter:
		return fmt.Errorf("Options.StaleAfter is %v and has to be at least %v: one request that fails would have all tokens refused; leave it out for %v", o.StaleAfter, leastStaleAfter, staleAfter)
	}
	all := []string{rs256, ps256, es256, eddsa}
	if len(o.Algorithms) == 0 {
		o.Algorithms = all
	}
	for _, alg := range o.Algorithms {
		if !slices.ContainsFunc(all, func(known string) bool { return sameAlg(alg, known) }) {
			return fmt.Errorf("Options.Algorithms: %q is none of %s", alg, strings.Join(all, ", "))
		}
	}
	if o.Leeway == 0 {
		o.Leeway = leeway
	}
	o.Leeway = max(o.Leeway, 0)
	if o.StaleAfter == 0 {
		o.StaleAfter = staleAfter
	}
	if o.Realm == "" {
		o.Realm = "api"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	v.lists.origin = origin(issuer)
	return v.completeHTTP()
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// origin is scheme, host and port as browsers write them.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// Close ends all requests to the issuer and waits for them.
func (v *Verifier) Close() {
	v.lists.close()
	v.stop()
	v.work.Wait()
}

// Verify checks an access token. Errors wrap a [Reason]. It asks the issuer
// only for a key or a list that it has not seen before, and then waits for no
// longer than ctx allows, and some seconds.
//
// A token that is bound to a key is refused: whether the client has that key is
// seen only by its request, see [Verifier.Authenticate].
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	return v.counted(v.verify(ctx, token, nil))
}

func (v *Verifier) counted(t *Token, err error) (*Token, error) {
	if err != nil {
		v.refuses[reasonOf(err)].Add(1)
		return nil, err
	}
	v.passed.Add(1)
	if t.Stale > 0 {
		v.stales.Add(1)
	}
	return t, nil
}

// verify goes from what is cheap to what is dear, and believes nothing in a
// token before its signature has held. proving is the request that came with a
// proof, nil for a bearer token.
func (v *Verifier) verify(ctx context.Context, token string, proving *http.Request) (*Token, error) {
	c, err := parseCompact(token, mostToken)
	if err != nil {
		return nil, err
	}
	keysAge, err := v.checkSignature(ctx, &c, "at+jwt")
	if err != nil {
		return nil, err
	}
	var claims claims
	text, err := c.decode(&claims)
	if err != nil {
		return nil, err
	}
	if err := v.check(&claims, time.Now()); err != nil {
		return nil, err
	}
	t := claims.token(text)
	if t.Thumbprint, err = v.checkBinding(&claims, token, proving); err != nil {
		return nil, err
	}
	var listAge time.Duration
	if !v.o.NoStatus {
		if claims.Status == nil || claims.Status.List == nil {
			return nil, ErrStatus.because("it has no place in a status list; Options.NoStatus is for issuers that have none")
		}
		if listAge, err = v.lists.check(ctx, *claims.Status.List); err != nil {
			return nil, err
		}
	}
	return t, v.judge(t, max(keysAge, listAge))
}

// checkBinding holds a token and the way it came against each other: to take a
// bound one as a bearer token would be to give up what it is bound for (RFC 9449
// §7.2).
func (v *Verifier) checkBinding(c *claims, token string, proving *http.Request) (string, error) {
	thumbprint, err := c.thumbprint()
	switch {
	case err != nil:
		return "", err
	case thumbprint == "" && proving == nil:
		return "", nil
	case thumbprint == "":
		return "", ErrClaims.because("it came by the scheme DPoP and is not bound to a key")
	case proving == nil:
		return "", ErrProof.because("it is bound to a key and came without a proof")
	}
	return thumbprint, v.checkProof(proving, token, thumbprint, time.Now())
}

// judge decides on a token by the age of what is known.
func (v *Verifier) judge(t *Token, age time.Duration) error {
	if age <= 0 {
		return nil
	}
	if v.o.WhenStale == nil {
		return ErrUnavailable.because("the issuer has not confirmed keys or status lists for %v: Verifier.Stats tells why; see that %s answers here", age.Round(time.Second), v.o.Issuer)
	}
	if err := v.o.WhenStale(t, age); err != nil {
		return ErrUnavailable.because("by knowledge that is %v old: %w", age.Round(time.Second), err)
	}
	t.Stale = age
	return nil
}

// checkSignature checks the kind of a token and its signature, and says how
// old the key set is if that is too old.
func (v *Verifier) checkSignature(ctx context.Context, c *compact, typ string) (stale time.Duration, err error) {
	if !c.isType(typ) {
		return 0, ErrType.because("typ is not %s", typ)
	}
	if !slices.ContainsFunc(v.o.Algorithms, func(alg string) bool { return sameAlg(alg, c.alg) }) {
		return 0, ErrAlgorithm.because("its algorithm is none of %s", strings.Join(v.o.Algorithms, ", "))
	}
	k, stale, err := v.keys.find(ctx, c.kid)
	if err != nil {
		return 0, err
	}
	if !sameAlg(k.alg, c.alg) {
		return 0, ErrAlgorithm.because("its algorithm is not the key's")
	}
	if !k.verify(c) {
		return 0, ErrSignature.because("the signature is wrong")
	}
	return stale, nil
}

// since is how much time has passed, by whichever clock says more: the
// monotonic one stands still while a machine sleeps, the other can be set back.
func since(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}
