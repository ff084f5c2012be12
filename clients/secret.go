package clients

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"jeton/storage"
)

// Bounds of a secret that was chosen by hand.
const (
	minSecret = 32
	maxSecret = 1024
)

// secretPrefix names how a secret is stored, so that another way can come.
const secretPrefix = "sha256:"

// NewSecret makes a secret of 256 random bits. Its characters need no escaping
// in a Basic header, so it works for clients that forget to (RFC 6749 §2.3.1).
func NewSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// CheckSecret refuses a secret chosen by hand that is too short to be hashed
// the way secrets are, or that no header can carry (RFC 6749 appendix A.2).
func CheckSecret(secret string) error {
	switch {
	case len(secret) < minSecret:
		return fmt.Errorf("the client secret is too short: %d of at least %d characters (leave it out and a good one is made)", len(secret), minSecret)
	case len(secret) > maxSecret:
		return fmt.Errorf("the client secret is too long: at most %d characters", maxSecret)
	case !printable(secret):
		return errors.New("the client secret has characters other than those of a US keyboard: take letters, digits and -._~")
	case strings.Count(secret, secret[:1]) == len(secret):
		return errors.New("the client secret is one character repeated (leave it out and a good one is made)")
	}
	return nil
}

// HashSecret is what is stored of a secret: one SHA-256, of the made and of
// the given ones alike. Programs keep them, so nobody had to make them easy to
// remember, and from 32 characters on guessing does not pay; a slow hash on
// each request of each client would cost more than all else the server does,
// and would let anyone who sends wrong secrets stop it.
//
// Call [CheckSecret] first, for all but a demonstration.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return secretPrefix + hex.EncodeToString(sum[:])
}

// SecretMatches compares a secret with what is stored of one, in constant time,
// and in the same time when there is nothing to compare with.
func SecretMatches(stored, secret string) bool {
	want, ok := decodeSecretHash(stored)
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && ok
}

// IsFormer reports whether a secret is the one of before: whoever shows it should
// be given the new one.
func IsFormer(client storage.Client, secret string) bool {
	return client.FormerSecretHash != "" && !SecretMatches(client.SecretHash, secret) && SecretMatches(client.FormerSecretHash, secret)
}

func decodeSecretHash(stored string) (sum [sha256.Size]byte, ok bool) {
	digits, ok := strings.CutPrefix(stored, secretPrefix)
	if !ok || len(digits) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// printable reports whether s has only the characters of RFC 6749's VSCHAR,
// %x20-7E.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
