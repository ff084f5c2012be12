package grants

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// handle is what names a code or a sign-in to whoever holds it: 256 random bits
// that are stored as a hash only, and where to look for that. The user is part
// of it so that the row can stand in the user's own partition, where one commit
// changes it together with the rest.
type handle struct {
	secret []byte
	sub    string
}

const handleSize = 32

func newHandle(sub string) handle { return handle{randomBytes(handleSize), sub} }

// id is the name of the stored row.
func (h handle) id() string {
	sum := sha256.Sum256(h.secret)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sessionID is the id of the session that a code becomes. It says nothing of
// the code, and neither does the row's id say anything of it.
func (h handle) sessionID() string {
	sum := sha256.Sum256(append([]byte("session of code "), h.secret...))
	sum[0] &= 0x7f // as in newID
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// mostHandle is more than any handle has: a sub has 255 bytes at most.
const mostHandle = 600

const purposeCode = "authorization code"

// sealCode is the code as it travels through browsers, their histories and
// logs: who the user is cannot be read there, and a forged one costs no look
// into the store.
func (s *Service) sealCode(h handle) string { return s.seal(purposeCode, h) }

func (s *Service) openCode(text string) (handle, bool) { return s.open(purposeCode, text) }

// seal is a handle as it travels, for one purpose.
func (s *Service) seal(purpose string, h handle) string {
	return base64.RawURLEncoding.EncodeToString(append(h.secret[:handleSize:handleSize], s.Master.Seal(purpose, []byte(h.sub), h.secret)...))
}

func (s *Service) open(purpose, text string) (handle, bool) {
	raw, ok := decodeHandle(text)
	if !ok {
		return handle{}, false
	}
	sub, err := s.Master.Open(purpose, raw[handleSize:], raw[:handleSize])
	return handle{raw[:handleSize], string(sub)}, err == nil
}

// cookie is a sign-in as the browser keeps it. Only that browser sees it, so it
// is not sealed, and outlives a change of the master key.
func (h handle) cookie() string {
	return base64.RawURLEncoding.EncodeToString(append(h.secret[:handleSize:handleSize], h.sub...))
}

func openCookie(text string) (handle, bool) {
	raw, ok := decodeHandle(text)
	if !ok {
		return handle{}, false
	}
	sub := string(raw[handleSize:])
	return handle{raw[:handleSize], sub}, !strings.ContainsFunc(sub, func(r rune) bool { return r <= ' ' || r > '~' })
}

func decodeHandle(text string) ([]byte, bool) {
	if len(text) > mostHandle {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) > handleSize
}
