package keys

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrImport is wrapped by what is wrong with a key that [Ring.Import] is given.
// Nothing has been changed, and no error shows a part of the key.
var ErrImport = errors.New("keys: the key cannot be imported")

// ErrKeyExists refuses a key that is in the ring.
var ErrKeyExists = errors.New("keys: the key is in the ring already")

// Import makes a private key in PEM the next signing key, in place of the one
// that waits, which has signed nothing. It is published from now on and signs
// once it is rotated in, by the rule of [Ring.Rotate]. What the configuration
// asks for does not drop it.
func (r *Ring) Import(ctx context.Context, text []byte, tell ...Tell) (Info, error) {
	p, err := parsePEM(text, r.config.Alg)
	if err != nil {
		return Info{}, err
	}
	rec, err := r.seal(p, UseSig)
	if err != nil {
		return Info{}, err
	}
	rec.Imported = true
	s, err := r.change(ctx, func(s *snapshot, e *edit) {
		if there := s.keys[rec.ID]; there != nil {
			if !bytes.Equal(there.Sealed, rec.Sealed) { // else it is our own write, whose outcome was unknown
				e.err = ErrKeyExists
			}
			return
		}
		if waiting := s.waiting(UseSig); waiting != nil {
			e.deletes = append(e.deletes, waiting.ID)
		}
		rec.Created, rec.Published = e.now, e.now
		e.puts = append(e.puts, rec)
		e.tell(tell, Info{KeyID: rec.ID, Use: UseSig, Alg: rec.Alg}, Info{})
	})
	if err != nil {
		return Info{}, err
	}
	return s.info(s.keys[rec.ID], s.now), nil
}

// parsePEM reads the one private key of a file. An RSA key is for PS256 where
// that is what the ring is configured to sign with, else for RS256.
func parsePEM(text []byte, configured string) (private, error) {
	var found any
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := parseBlock(block)
		switch {
		case err != nil:
			return private{}, fmt.Errorf("%w: %w", ErrImport, err)
		case key != nil && found != nil:
			return private{}, fmt.Errorf("%w: there are several in the file: give one", ErrImport)
		case key != nil:
			found = key
		}
	}
	alg, err := algOf(found, configured)
	if err != nil {
		return private{}, fmt.Errorf("%w: %w", ErrImport, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(found)
	if err != nil {
		return private{}, fmt.Errorf("%w: it is damaged", ErrImport)
	}
	p, err := decodePrivate(alg, der)
	if err != nil {
		return private{}, fmt.Errorf("%w: it is damaged", ErrImport)
	}
	return p, nil
}

// parseBlock reads a private key, or returns nil for what stands beside keys.
func parseBlock(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncrypted
		}
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncrypted
		}
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errEncrypted
	default: // a certificate, the parameters of a curve
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("it is damaged, or of a kind that is not understood")
	}
	return key, nil
}

var errEncrypted = errors.New("it is encrypted: take the encryption off with openssl pkey -in FILE, on the way and not to a disk")

// algOf is the algorithm that a private key signs with here.
func algOf(key any, configured string) (string, error) {
	switch k := key.(type) {
	case nil:
		return "", errors.New("there is no private key in it: give a PEM file with PRIVATE KEY (PKCS #8), RSA PRIVATE KEY or EC PRIVATE KEY")
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", fmt.Errorf("an RSA key has %d to %d bits, this one %d", minRSABits, maxRSABits, bits)
		}
		if configured == PS256 {
			return PS256, nil
		}
		return RS256, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("its curve is %s: take P-256", k.Curve.Params().Name)
		}
		return ES256, nil
	case ed25519.PrivateKey:
		return EdDSA, nil
	}
	return "", errors.New("it is no key to sign with: take RSA, EC P-256 or Ed25519")
}
