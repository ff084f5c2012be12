package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func inPEM(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return inPEM(t, "PRIVATE KEY", der, err)
}

func newEC(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestImportedKeyIsNextAndSignsAfterARotation(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := newEC(t, elliptic.P256())
	der, err := x509.MarshalECPrivateKey(sec1)
	ecText := inPEM(t, "EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil) + inPEM(t, "EC PRIVATE KEY", der, err)
	rsaKey := newRSA(t, 2048)
	for alg, text := range map[string]string{
		EdDSA: pkcs8(t, ed), ES256: ecText, RS256: inPEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil),
	} {
		r, c := newRing(t, Config{})
		replaced := r.snap.Load().waiting(UseSig).ID
		key, err := r.Import(t.Context(), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if key.Alg != alg || key.State != Next || !key.Activates.IsZero() || !key.Published.Equal(c.Now()) {
			t.Errorf("%s: %+v", alg, key)
		}
		if set := string(r.KeySet().JSON); !strings.Contains(set, key.KeyID) || strings.Contains(set, replaced) {
			t.Errorf("%s: the key set is %s", alg, set)
		}
		if _, err := r.Import(t.Context(), []byte(text)); !errors.Is(err, ErrKeyExists) {
			t.Errorf("%s: a second time: %v", alg, err)
		}
		// A start with another algorithm configured leaves it.
		openRing(t, r.store, c, Config{})
		rotated, err := r.Rotate(t.Context(), UseSig, false)
		if err != nil || rotated.KeyID != key.KeyID || !rotated.Activates.Equal(key.Published.Add(lead)) {
			t.Errorf("%s: rotated to %+v, %v", alg, rotated, err)
		}
		c.pass(lead)
		token, kid, err := r.Sign(t.Context(), c.Now(), UseSig, typAccess, testClaims())
		if err != nil || kid != key.KeyID {
			t.Fatalf("%s: signed by %s, %v", alg, kid, err)
		}
		claims := testClaims()
		if err := r.Parse(t.Context(), c.Now(), UseSig, token, typAccess, &claims); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	r, _ := newRing(t, Config{Alg: PS256})
	if key, err := r.Import(t.Context(), []byte(pkcs8(t, rsaKey))); err != nil || key.Alg != PS256 {
		t.Errorf("where PS256 is configured: %+v, %v", key, err)
	}
}

func TestImportRefusesOtherKeys(t *testing.T) {
	r, _ := newRing(t, Config{})
	before := string(r.KeySet().JSON)
	good := pkcs8(t, newEC(t, elliptic.P256()))
	der, err := x509.MarshalPKIXPublicKey(newEC(t, elliptic.P256()).Public())
	for text, want := range map[string]string{
		"":                               "no private key",
		"nonsense":                       "no private key",
		inPEM(t, "PUBLIC KEY", der, err): "no private key",
		inPEM(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil): "encrypted",
		inPEM(t, "PRIVATE KEY", []byte("x"), nil):           "damaged",
		inPEM(t, "RSA PRIVATE KEY", []byte("x"), nil):       "damaged",
		good + good:                         "several",
		pkcs8(t, newEC(t, elliptic.P384())): "P-256",
		strings.Replace(good, "PRIVATE KEY", "EC PARAMETERS", 2): "no private key",
	} {
		if _, err := r.Import(t.Context(), []byte(text)); !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	if _, err := r.Import(t.Context(), []byte(pkcs8(t, newRSA(t, 1024)))); !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), "this one 1024") {
		t.Errorf("a short RSA key: %v", err)
	}
	if string(r.KeySet().JSON) != before {
		t.Error("a refused key changed the ring")
	}
}

// On a command line a kid that begins with a dash would be a flag: of 200 keys
// three would, if that were left to chance.
func TestNoKeyMadeHereBeginsWithADash(t *testing.T) {
	for range 200 {
		p, err := generate(EdDSA, 0)
		if err != nil {
			t.Fatal(err)
		}
		if kid, err := Thumbprint(p.signer.Public()); err != nil || kid[0] == '-' {
			t.Fatalf("kid %q, %v", kid, err)
		}
	}
}
