package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// ErrSealed is why [MasterKey.Open] fails: another master key sealed the
// value, or it has been changed or moved since.
var ErrSealed = errors.New("keys: a sealed value does not open")

// ErrNoMasterKey says that neither place for a master key was given.
var ErrNoMasterKey = errors.New("keys: there is no master key: set master-key-file to a file that holds one, " +
	"made by (umask 077; openssl rand -base64 32 > FILE), or JETON_MASTER_KEY to what openssl rand -base64 32 prints")

const (
	masterKeySize = 32
	sealVersion   = 1
)

// MasterKey seals secrets before they go to the store. Whoever has only the
// database has none of them.
type MasterKey struct {
	secret [masterKeySize]byte
	// aeads are the ciphers derived so far, by purpose: sealing is on the
	// path of every refresh, deriving need not be.
	aeads sync.Map
	// peer is the key that replaces this one, or that this one replaces.
	peer atomic.Pointer[peer]
}

// NewMasterKey makes a master key of 32 bytes.
func NewMasterKey(secret []byte) (*MasterKey, error) {
	if len(secret) != masterKeySize {
		return nil, fmt.Errorf("keys: a master key has %d bytes, not %d", masterKeySize, len(secret))
	}
	return &MasterKey{secret: [masterKeySize]byte(secret)}, nil
}

// String keeps the key out of logs.
func (*MasterKey) String() string { return "(master key)" }

// GoString keeps the key out of logs.
func (*MasterKey) GoString() string { return "(master key)" }

// LoadMaster reads the master key from file, or from value, which is what the
// environment has in JETON_MASTER_KEY. Exactly one of them is given. The error
// of an absent file wraps [os.ErrNotExist].
func LoadMaster(file, value string) (*MasterKey, error) {
	switch {
	case file == "" && value == "":
		return nil, ErrNoMasterKey
	case file != "" && value != "":
		return nil, fmt.Errorf("keys: there are two master keys: unset JETON_MASTER_KEY or do not set master-key-file (%s)", file)
	case value != "":
		k, err := decodeMaster([]byte(value), "take what openssl rand -base64 32 prints")
		if err != nil {
			return nil, fmt.Errorf("keys: JETON_MASTER_KEY %w", err)
		}
		return k, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("keys: the master key cannot be read, check master-key-file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("keys: the master key cannot be read, check master-key-file: %w", err)
	}
	k, err := decodeMaster(content, "make the file with (umask 077; openssl rand -base64 32 > "+file+")")
	if err != nil {
		return nil, fmt.Errorf("keys: the master key file %s %w", file, err)
	}
	return k, nil
}

// decodeMaster reads a key; anew says how one for a new store is made there.
func decodeMaster(text []byte, anew string) (*MasterKey, error) {
	secret, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != masterKeySize {
		return nil, fmt.Errorf("must be base64 of %d bytes (44 characters) and is not: "+
			"put back the key that this store was made with, or for a new store %s", masterKeySize, anew)
	}
	return NewMasterKey(secret)
}

// CreateMaster makes a master key and keeps it in a new file of mode 0600. The
// file appears whole or not at all, and never replaces one: when it exists
// the error wraps [os.ErrExist], and another process may just have made it.
func CreateMaster(path string) (*MasterKey, error) {
	secret := make([]byte, masterKeySize)
	rand.Read(secret)
	if err := writeNew(path, base64.StdEncoding.EncodeToString(secret)+"\n"); err != nil {
		return nil, fmt.Errorf("keys: the master key cannot be written: make the file yourself with "+
			"(umask 077; openssl rand -base64 32 > %s) or choose another master-key-file: %w", path, err)
	}
	return NewMasterKey(secret)
}

// writeNew writes a file beside path and links it there, since a file that is
// created first and written then can be seen, or left behind, half made.
func writeNew(path, content string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Seal encrypts plaintext for one purpose, such as "session". What is sealed
// opens only with the same purpose and the same aad: name there what the
// secret belongs to, so that a row moved onto another does not open.
//
// The cipher is AES-256-GCM with a random nonce: 2^32 seals of one purpose
// keep the chance of a repeated nonce below 2^-32.
func (m *MasterKey) Seal(purpose string, plaintext, aad []byte) []byte {
	if p := m.peer.Load(); p != nil && p.seals {
		m = p.key
	}
	out := make([]byte, 1, 1+len(plaintext)+28)
	out[0] = sealVersion
	return m.aead(purpose).Seal(out, nil, plaintext, aad)
}

// Open decrypts what Seal made. Its errors are [ErrSealed].
func (m *MasterKey) Open(purpose string, sealed, aad []byte) ([]byte, error) {
	text, err := m.openAlone(purpose, sealed, aad)
	if p := m.peer.Load(); err != nil && p != nil {
		return p.key.openAlone(purpose, sealed, aad)
	}
	return text, err
}

func (m *MasterKey) openAlone(purpose string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	plaintext, err := m.aead(purpose).Open(nil, nil, sealed[1:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// MACs are a keyed hash of a text for one purpose: for what is too short to be
// kept as a plain hash. The first is the one to keep. While the master key is
// being changed there is another, under which some may have been kept.
func (m *MasterKey) MACs(purpose string, text []byte) [][]byte {
	all := [][]byte{m.mac(purpose, text)}
	if p := m.peer.Load(); p != nil {
		all = append(all, p.key.mac(purpose, text))
		if p.seals {
			all[0], all[1] = all[1], all[0]
		}
	}
	return all
}

func (m *MasterKey) mac(purpose string, text []byte) []byte {
	subkey, err := hkdf.Key(sha256.New, m.secret[:], nil, "jeton mac 1 "+purpose, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("keys: HKDF is not available: %v", err)) // of fixed sizes, as in aead
	}
	mac := hmac.New(sha256.New, subkey)
	mac.Write(text)
	return mac.Sum(nil)
}

func (m *MasterKey) aead(purpose string) cipher.AEAD {
	if a, ok := m.aeads.Load(purpose); ok {
		return a.(cipher.AEAD)
	}
	a, err := m.derive(purpose)
	if err != nil {
		panic(fmt.Sprintf("keys: AES-256-GCM is not available: %v", err)) // of fixed sizes: nothing anyone sends leads here
	}
	m.aeads.Store(purpose, a)
	return a
}

func (m *MasterKey) derive(purpose string) (cipher.AEAD, error) {
	subkey, err := hkdf.Key(sha256.New, m.secret[:], nil, "jeton seal 1 "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(subkey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
