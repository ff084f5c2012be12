package grants

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// The user code of a device (RFC 8628 §6.1): eight letters that make no words
// and that nobody takes for another, 20^8 of them or 34 bits.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	for len(code) < userCodeLength {
		for _, b := range randomBytes(2 * userCodeLength) {
			// Above the last multiple of 20 some letters would be likelier.
			if int(b) < 256/len(userCodeLetters)*len(userCodeLetters) && len(code) < userCodeLength {
				code = append(code, userCodeLetters[int(b)%len(userCodeLetters)])
			}
		}
	}
	return string(code)
}

// mostTyped is more than anybody types for eight letters.
const mostTyped = 64

// readUserCode finds the code in what somebody typed: in any case, with any
// spaces and punctuation in it.
func readUserCode(typed string) (code string, ok bool) {
	if len(typed) > mostTyped {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, typed)
	return code, len(code) == userCodeLength && strings.Trim(code, userCodeLetters) == ""
}

// ShowUserCode writes a user code as people read it.
func ShowUserCode(code string) string {
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

const purposeUserCode = "user code"

// userCodeIDs are the names under which a user code may be stored. A plain hash
// of so few letters would be no secret from whoever has the database.
func (s *Service) userCodeIDs(code string) []string {
	macs := s.Master.MACs(purposeUserCode, []byte(code))
	ids := make([]string, len(macs))
	for i, mac := range macs {
		ids[i] = base64.RawURLEncoding.EncodeToString(mac)
	}
	return ids
}

// deviceCode is a device code, read: 256 random bits, and sealed beside them what
// is needed to judge it. So a forged one costs no look into the store, and one
// that the store has forgotten can still be told to have expired.
type deviceCode struct {
	secret []byte
	deviceCodeFacts
}

type deviceCodeFacts struct {
	ID       string    `json:"id"` // of the request
	ClientID string    `json:"client_id"`
	Expires  time.Time `json:"exp"`
}

const (
	purposeDeviceCode = "device code"
	mostDeviceCode    = 2048
)

func (s *Service) sealDeviceCode(c deviceCode) (string, error) {
	text, err := json.Marshal(c.deviceCodeFacts)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.secret[:handleSize:handleSize], s.Master.Seal(purposeDeviceCode, text, c.secret)...)), nil
}

func (s *Service) openDeviceCode(text string) (c deviceCode, ok bool) {
	if len(text) > mostDeviceCode {
		return c, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= handleSize {
		return c, false
	}
	c.secret = raw[:handleSize]
	facts, err := s.Master.Open(purposeDeviceCode, raw[handleSize:], c.secret)
	return c, err == nil && json.Unmarshal(facts, &c.deviceCodeFacts) == nil
}

// hash is what is stored of a device code.
func (c deviceCode) hash() string { return handle{secret: c.secret}.id() }

// sessionID is the id of the session that it becomes, as with codes.
func (c deviceCode) sessionID() string {
	sum := sha256.Sum256(append([]byte("session of device code "), c.secret...))
	sum[0] &= 0x7f // as in newID
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
