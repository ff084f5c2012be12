package clients

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"jeton/storage"
)

func TestT14_SecretsNeedNoEscaping(t *testing.T) {
	seen := make(map[string]bool)
	for range 200 {
		s := NewSecret()
		if !regexp.MustCompile(`^[A-Za-z0-9._~-]{43}$`).MatchString(s) || seen[s] {
			t.Fatalf("secret %q", s)
		}
		seen[s] = true
		if err := CheckSecret(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretsGivenByHand(t *testing.T) {
	for secret, want := range map[string]string{
		strings.Repeat("ab", 16):          "",
		strings.Repeat("a b%", 8):         "",
		strings.Repeat("ab", 15) + "c":    "31 of at least 32",
		"":                                "0 of at least 32",
		strings.Repeat("ab", 512) + "c":   "too long",
		strings.Repeat("é", 32):           "US keyboard",
		strings.Repeat("ab", 16) + "\n":   "US keyboard",
		strings.Repeat("ab", 16) + "\x00": "US keyboard",
		strings.Repeat("a", 40):           "repeated",
	} {
		err := CheckSecret(secret)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v, want %q", secret, err, want)
		}
	}
}

// FIELD #9: one SHA-256, which the record shows by its prefix.
func TestSecretHash(t *testing.T) {
	const vector = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := HashSecret("abc"); got != vector {
		t.Errorf("hash %q", got)
	}
	for stored, want := range map[string]bool{
		vector: true, strings.Replace(vector, "ba", "bb", 1): false,
		vector[:len(vector)-2]: false, vector + "00": false, vector[len(secretPrefix):]: false,
		"": false, "sha256:": false, "sha512:" + vector[7:]: false, vector[:70] + "x": false,
	} {
		if got := SecretMatches(stored, "abc"); got != want {
			t.Errorf("%q: %v, want %v", stored, got, want)
		}
	}
	// What cannot be read is compared with zeros, which must not be a way in,
	// not even for a hash that is damaged where it has zeros.
	secret := "0"
	for !strings.HasSuffix(HashSecret(secret), "00") {
		secret += "0"
	}
	if whole := HashSecret(secret); SecretMatches(whole[:len(whole)-2]+"zz", secret) {
		t.Error("a damaged hash matches")
	}
	if SecretMatches("", "") || SecretMatches(strings.Repeat("0", 64), "") {
		t.Error("an empty secret matches")
	}
}

func TestT19_T20_T21_MethodAndSecret(t *testing.T) {
	r := newRig(t, nil)
	secret := NewSecret()
	hash := HashSecret(secret)
	for _, c := range []storage.Client{
		{ID: "either", SecretHash: hash}, {ID: "basic", SecretHash: hash, AuthMethod: storage.AuthBasic},
		{ID: "post", SecretHash: hash, AuthMethod: storage.AuthPost}, {ID: "public", AuthMethod: storage.AuthNone},
		{ID: "keys", AuthMethod: storage.AuthPrivateKeyJWT, JWKS: "{}"}, {ID: "disabled", SecretHash: hash, Disabled: true},
		{ID: "disabled-public", AuthMethod: storage.AuthNone, Disabled: true}, {ID: "no-secret"},
		{ID: "public-with-secret", AuthMethod: storage.AuthNone, SecretHash: hash},
	} {
		r.put(c)
	}
	const basic, post, none = storage.AuthBasic, storage.AuthPost, storage.AuthNone
	for _, tt := range []struct {
		name, id, method, secret string
		ok                       bool
	}{
		{"T11 Basic", "either", basic, secret, true},
		{"T11 post", "either", post, secret, true},
		{"T11 wrong secret", "either", basic, secret + "x", false},
		{"T12 wrong secret", "either", post, secret[1:], false},
		{"empty secret", "either", basic, "", false},
		{"T19 client_id alone", "either", none, "", false},
		{"T19 client_id alone, Basic client", "basic", none, "", false},
		{"T19 client_id alone, client with keys", "keys", none, "", false},
		{"T20 Basic client uses Basic", "basic", basic, secret, true},
		{"T20 Basic client uses post", "basic", post, secret, false},
		{"T20 post client uses post", "post", post, secret, true},
		{"T20 post client uses Basic", "post", basic, secret, false},
		{"T20 client with keys uses Basic", "keys", basic, secret, false},
		{"T20 a method that does not exist", "either", "tls_client_auth", secret, false},
		{"T20 no method", "either", "", secret, false},
		{"T21 public", "public", none, "", true},
		{"T21 public sends a secret as post", "public", post, secret, false},
		{"T21 public sends a secret as Basic", "public", basic, secret, false},
		{"T21 public sends an empty Basic secret", "public", basic, "", false},
		{"T21 public sends a secret beside", "public", none, secret, false},
		{"T21 public with a stored secret sends it", "public-with-secret", basic, secret, false},
		{"T23 unknown client", "nobody", basic, secret, false},
		{"T23 unknown public client", "nobody", none, "", false},
		{"R17 disabled", "disabled", basic, secret, false},
		{"R17 disabled public", "disabled-public", none, "", false},
		{"client without secret", "no-secret", basic, "", false},
		{"empty client_id", "", basic, secret, false},
		{"NUL in client_id", "either\x00", basic, secret, false},
		{"endless client_id", strings.Repeat("x", 1<<20), basic, secret, false},
		{"client_id of another charset", "éither", basic, secret, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.T = t
			c := Credentials{Method: tt.method, ClientID: tt.id, Secret: tt.secret}
			if tt.ok {
				r.accepted(tt.id, c)
			} else {
				r.refused(tt.id, c)
			}
		})
	}
}

func TestT21_PublicClientSendsAnAssertion(t *testing.T) {
	r := newRig(t, nil)
	r.put(storage.Client{ID: "public", AuthMethod: storage.AuthNone})
	r.refused("beside client_id", Credentials{Method: storage.AuthNone, ClientID: "public", Assertion: "x"})
}

func TestT23_EveryRefusalReadsTheSame(t *testing.T) {
	r := newRig(t, nil)
	r.put(storage.Client{ID: "api", SecretHash: HashSecret(NewSecret())})
	var texts []string
	for _, c := range []Credentials{
		{Method: storage.AuthBasic, ClientID: "nobody", Secret: "x"},
		{Method: storage.AuthBasic, ClientID: "api", Secret: "x"},
		{Method: storage.AuthNone, ClientID: "api"},
		{Method: storage.AuthPrivateKeyJWT, ClientID: "api", Assertion: "x", AssertionType: AssertionType},
	} {
		_, err := r.auth.Authenticate(t.Context(), c)
		if !errors.Is(err, ErrInvalidClient) {
			t.Fatal(err)
		}
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		if text != ErrInvalidClient.Error() {
			t.Errorf("texts differ: %q", texts)
		}
	}
}

// Another process changes the record while this one has it in its cache.
func TestChangedClientWorksAtOnce(t *testing.T) {
	r := newRig(t, nil)
	old, renewed := NewSecret(), NewSecret()
	with := func(secret string) Credentials {
		return Credentials{Method: storage.AuthBasic, ClientID: "api", Secret: secret}
	}
	r.refused("before it exists", with(old))
	r.put(storage.Client{ID: "api", SecretHash: HashSecret(old)})
	r.accepted("just made", with(old))
	r.put(storage.Client{ID: "api", SecretHash: HashSecret(renewed)})
	r.accepted("new secret", with(renewed))
	r.refused("neither", with(NewSecret()))
	r.put(storage.Client{ID: "api", SecretHash: HashSecret(renewed), AuthMethod: storage.AuthPost})
	r.accepted("new method", Credentials{Method: storage.AuthPost, ClientID: "api", Secret: renewed})
}

// Promise 9: a store that is away is no reason to say invalid_client.
func TestStoreAwayIsNotInvalidClient(t *testing.T) {
	r := newRig(t, nil)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.auth.Authenticate(t.Context(), Credentials{Method: storage.AuthBasic, ClientID: "api", Secret: "x"})
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, ErrInvalidClient) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestNewRefusesBadSettings(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []Config{{}, {Store: r.store}, {Issuer: issuer}, {Store: r.store, Issuer: issuer, AssertionLife: 1}, {Store: r.store, Issuer: issuer, AssertionLife: 1 << 60}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}
