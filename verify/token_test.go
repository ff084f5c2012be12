package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokensOfAllAlgorithms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newIssuer(t).verifier(t, nil)
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
			for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt"} {
				v.accepts(t, alg, sign(t, alg, alg, typ, accessClaims(7), nil))
			}
			// What was changed does not pass: each byte of the signature counts.
			token := sign(t, alg, alg, "at+jwt", accessClaims(7), nil)
			at, other := strings.LastIndex(token, ".")+9, "A"
			if token[at] == 'A' {
				other = "B"
			}
			v.refuse(t, alg, token[:at]+other+token[at+1:], ErrSignature)
		}
		now := time.Now().Truncate(time.Second)
		got := v.accepts(t, "fields", access(t, 7, map[string]any{"aud": shop, "extra": "x"}))
		want := &Token{
			Issuer: auth, Subject: "u1", ClientID: "app", Audience: []string{shop}, Scope: []string{"read", "write"}, Roles: []string{"ROLE_USER"},
			ID: "j1", Session: "s1", Issued: now, Expires: now.Add(30 * time.Minute), AuthTime: now, AMR: []string{"pwd"}, claims: got.claims,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		var own struct{ Extra string }
		if err := got.Claims(&own); err != nil || own.Extra != "x" || !got.HasScope("write") || got.HasScope("rea") || !got.HasRole("ROLE_USER") || got.HasRole("x") {
			t.Errorf("%+v, %v", own, err)
		}
	})
}

// header makes a token with a header of one's own, signed all the same.
func header(t testing.TB, text string) string {
	t.Helper()
	token := access(t, 7, nil)
	_, rest, _ := strings.Cut(token, ".")
	return b64([]byte(text)) + "." + rest
}

func TestJ9_J11_J17_J18_J20_J25_RefusedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		good := access(t, 7, nil)
		parts := strings.Split(good, ".")
		v.accepts(t, "good", good)
		now := time.Now()
		in := func(d time.Duration) int64 { return now.Add(d).Unix() }
		for _, c := range []struct {
			what  string
			token string
			want  Reason
		}{
			{"nothing", "", ErrMalformed},
			{"two parts", parts[0] + "." + parts[1], ErrMalformed},
			{"four parts", good + ".AA", ErrMalformed},
			{"no signature", parts[0] + "." + parts[1] + ".", ErrMalformed},
			{"padding", good + "=", ErrMalformed},
			{"a line break", parts[0] + ".\n" + parts[1] + "." + parts[2], ErrMalformed},
			{"too long", good + strings.Repeat("A", mostToken), ErrMalformed},
			{"J9 none", header(t, `{"alg":"none","kid":"ES256","typ":"at+jwt"}`), ErrAlgorithm},
			{"J9 HS256", header(t, `{"alg":"HS256","kid":"RS256","typ":"at+jwt"}`), ErrAlgorithm},
			{"J9 not the key's algorithm", header(t, `{"alg":"PS256","kid":"RS256","typ":"at+jwt"}`), ErrAlgorithm},
			{"J9 no algorithm", header(t, `{"kid":"ES256","typ":"at+jwt"}`), ErrAlgorithm},
			{"no kid", header(t, `{"alg":"ES256","typ":"at+jwt"}`), ErrKey},
			{"another kid", header(t, `{"alg":"ES256","kid":"x","typ":"at+jwt"}`), ErrKey},
			{"J11 crit", header(t, `{"alg":"ES256","kid":"ES256","typ":"at+jwt","crit":["x"],"x":1}`), ErrMalformed},
			{"J11 crit, empty", header(t, `{"alg":"ES256","kid":"ES256","typ":"at+jwt","crit":[]}`), ErrMalformed},
			{"J11 crit, null", header(t, `{"alg":"ES256","kid":"ES256","typ":"at+jwt","crit":null}`), ErrMalformed},
			{"J17 alg twice", header(t, `{"alg":"ES256","ALG":"none","kid":"ES256","typ":"at+jwt"}`), ErrMalformed},
			{"J17 escaped", header(t, `{"alg":"ES256","\u0061lg":"none","kid":"ES256","typ":"at+jwt"}`), ErrMalformed},
			{"a header of 400 members", header(t, "{"+strings.Repeat(`"a":1,`, 399)+`"b":1}`), ErrMalformed},
			{"a deep header", header(t, `{"a":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+"}"), ErrMalformed},
			{"a header that is none", header(t, `["alg"]`), ErrMalformed},
			{"J18 an ID token", sign(t, "ES256", "ES256", "JWT", accessClaims(7), nil), ErrType},
			{"J18 no typ", header(t, `{"alg":"ES256","kid":"ES256"}`), ErrType},
			{"J18 a status list", listToken(t, list1, make([]byte, 8), nil), ErrType},
			{"J18 a refresh token", sign(t, "ES256", "ES256", "rt+jwt", accessClaims(7), nil), ErrType},
			{"another's signature", sign(t, "ES256", "other", "at+jwt", accessClaims(7), nil), ErrKey},
			{"another's, under the kid", header(t, `{"alg":"EdDSA","kid":"EdDSA","typ":"at+jwt"}`), ErrSignature},
			{"another issuer", access(t, 7, map[string]any{"iss": auth + "/"}), ErrIssuer},
			{"another API", access(t, 7, map[string]any{"aud": []string{"https://other.example"}}), ErrAudience},
			{"aud empty", access(t, 7, map[string]any{"aud": []string{}}), ErrAudience},
			{"expired", access(t, 7, map[string]any{"exp": in(-11 * time.Second)}), ErrExpired},
			{"issued too early", access(t, 7, map[string]any{"iat": in(12 * time.Second)}), ErrNotYet},
			{"not before", access(t, 7, map[string]any{"nbf": in(12 * time.Second)}), ErrNotYet},
			{"exp no number", access(t, 7, map[string]any{"exp": "9999999999"}), ErrClaims},
			{"exp endless", access(t, 7, map[string]any{"exp": 1e300}), ErrClaims},
			{"exp negative", access(t, 7, map[string]any{"exp": -1}), ErrClaims},
			{"scope an array", access(t, 7, map[string]any{"scope": []string{"read"}}), ErrClaims},
			{"roles a string", access(t, 7, map[string]any{"roles": "ROLE_ADMIN"}), ErrClaims},
			{"aud a number", access(t, 7, map[string]any{"aud": 1}), ErrClaims},
			{"bound to a key, without a proof", access(t, 7, map[string]any{"cnf": map[string]string{"jkt": "x"}}), ErrProof},
			{"bound to a certificate", access(t, 7, map[string]any{"cnf": map[string]string{"x5t#S256": "x"}}), ErrClaims},
			{"bound twice", access(t, 7, map[string]any{"cnf": map[string]string{"jkt": "x", "x5t#S256": "x"}}), ErrClaims},
			{"bound to nothing", access(t, 7, map[string]any{"cnf": map[string]string{}}), ErrClaims},
			{"bound to no object", access(t, 7, map[string]any{"cnf": "x"}), ErrClaims},
		} {
			v.refuse(t, c.what, c.token, c.want)
		}
		for name, want := range map[string]Reason{"iss": ErrIssuer, "sub": ErrClaims, "aud": ErrAudience, "client_id": ErrClaims, "jti": ErrClaims,
			"iat": ErrClaims, "exp": ErrClaims, "status": ErrStatus} {
			v.refuse(t, "J20 without "+name, access(t, 7, map[string]any{name: nil}), want)
		}
		for what, change := range map[string]map[string]any{
			"no scope": {"scope": nil, "roles": nil, "sid": nil, "amr": nil, "auth_time": nil},
			"J25 iat":  {"iat": in(10 * time.Second), "nbf": in(10 * time.Second)}, "J25 exp": {"exp": in(-9 * time.Second)},
			"fractions": {"iat": float64(now.Unix()) - 0.5},
		} {
			v.accepts(t, what, access(t, 7, change))
		}
		if got := v.Stats(); got.Accepted != 5 || got.Refused[ErrNotYet] != 2 || got.Refused[ErrExpired] != 1 || got.Refused[ErrRevoked] != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// A claim that stands twice is refused, though signed: parsers differ.
func TestJ17_ClaimsThatStandTwice(t *testing.T) {
	for text, bad := range map[string]bool{
		`{"sub":"a","sub":"b"}`:                 true,
		`{"sub":"a","SUB":"b"}`:                 true,
		`{"sub":"a","x":{"y":[{"z":1,"z":2}]}}`: true,
		`{"s\u0075b":"a","sub":"b"}`:            true,
		`{"a":1} {}`:                            true,
		"{\"a\":\"\xff\"}":                      true,
		`"sub"`:                                 true,
		``:                                      true,
		`{"a":{"x":1},"b":{"x":1},"c":["x","x"]}`:   false,
		` {"a":"\"x\":1,\"x\":2","x":"a","":{}} `:   false,
		`{"a":"b","b":"a","c":[{"a":1},{"a":"a"}]}`: false,
	} {
		if err := checkObject([]byte(text)); (err != nil) != bad {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	is := newIssuer(f)
	v := is.verifier(f, nil)
	f.Add(access(f, 7, nil))
	f.Add(header(f, `{"alg":"none"}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(context.Background(), token)
		if r := Reason(""); (got == nil) == (err == nil) || err != nil && !errors.As(err, &r) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// checkObject and encoding/json agree on what an object is.
func FuzzCheckObject(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":[{"c":"d\\\""}]}`, `{"a":1,"a":2}`, ` {} `, `{`, `{"a":"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := checkObject(text)
		var all map[string]any
		if parsed := json.Unmarshal(text, &all); err == nil && (parsed != nil || all == nil) {
			t.Errorf("%s: %v", text, parsed)
		}
	})
}

func TestOptionsThatAreRefused(t *testing.T) {
	for what, o := range map[string]Options{
		"no issuer":       {Audience: []string{shop}},
		"no audience":     {Issuer: auth},
		"empty audience":  {Issuer: auth, Audience: []string{""}},
		"no URL":          {Issuer: "auth.example", Audience: []string{shop}},
		"a query":         {Issuer: auth + "?x", Audience: []string{shop}},
		"no https":        {Issuer: "http://auth.example", Audience: []string{shop}},
		"leeway":          {Issuer: auth, Audience: []string{shop}, Leeway: time.Hour},
		"stale":           {Issuer: auth, Audience: []string{shop}, StaleAfter: -1},
		"stale at once":   {Issuer: auth, Audience: []string{shop}, StaleAfter: 9 * time.Second},
		"algorithm":       {Issuer: auth, Audience: []string{shop}, Algorithms: []string{"HS256"}},
		"none":            {Issuer: auth, Audience: []string{shop}, Algorithms: []string{"none"}},
		"realm":           {Issuer: auth, Audience: []string{shop}, Realm: `a"b`},
		"resource":        {Issuer: auth, Audience: []string{shop}, Resource: "shop"},
		"cookie":          {Issuer: auth, Audience: []string{shop}, Cookie: &Cookie{Name: "a b"}},
		"origin":          {Issuer: auth, Audience: []string{shop}, Cookie: &Cookie{Name: "a", Origins: []string{"https://app.example/"}}},
		"origin null":     {Issuer: auth, Audience: []string{shop}, Cookie: &Cookie{Name: "a", Origins: []string{"null"}}},
		"origin in capit": {Issuer: auth, Audience: []string{shop}, Cookie: &Cookie{Name: "a", Origins: []string{"https://App.example"}}},
	} {
		if v, err := New(o); err == nil {
			v.Close()
			t.Errorf("%s: taken", what)
		}
	}
	for _, issuer := range []string{"http://127.0.0.1:9096", "http://[::1]:9096", "http://localhost:9096"} {
		v, err := New(Options{Issuer: issuer, Audience: []string{shop}})
		must(t, err)
		v.Close()
	}
}

func ExampleReason() {
	err := ErrRevoked.because("its status is 1")
	fmt.Println(errors.Is(err, ErrRevoked), err)
	// Output: true verify: token refused: revoked: its status is 1
}
