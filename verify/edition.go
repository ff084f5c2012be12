package verify

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	typeList = "statuslist+jwt"
	// mostBits bounds a list once it is inflated: a few bytes can become
	// gigabytes. A list of Jeton has 128 KiB.
	mostBits = 4 << 20
	// mostList bounds its JWT: mostBits, uncompressible, twice in base64url.
	mostList = mostBits/9*16 + 64<<10
	invalid  = 1 // the status of Token Status List §7.1 that is for ever
)

// edition is a status list as it was signed at a time. It never changes.
type edition struct {
	width     int    // bits a token: 1, 2, 4 or 8
	bits      []byte // of all tokens, from the least significant bit on
	issued    float64
	expires   float64 // 0: never
	ttl       time.Duration
	etag      string
	confirmed time.Time // by the last answer of the issuer
}

// at is the status of a token. It is false for an index beyond the list.
func (e *edition) at(index int64) (status byte, ok bool) {
	per := int64(8 / e.width)
	if index < 0 || index/per >= int64(len(e.bits)) {
		return 0, false
	}
	return e.bits[index/per] >> (int(index%per) * e.width) & (1<<e.width - 1), true
}

// stale is for how long a list must not be gone by any more, if at all: from
// the last answer on, and by its own exp. Who stretches the one stretches the
// other.
func (v *Verifier) stale(e *edition, now time.Time) time.Duration {
	age := since(e.confirmed, now)
	over := e.expires > 0 && seconds(now) > e.expires+(v.o.Leeway+max(0, v.o.StaleAfter-staleAfter)).Seconds()
	if age > v.o.StaleAfter || over {
		return max(age, 1)
	}
	return 0
}

// listClaims are those of Token Status List §5.1.
type listClaims struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Issued  *float64 `json:"iat"`
	Expires *float64 `json:"exp"`
	Before  *float64 `json:"nbf"`
	TTL     *float64 `json:"ttl"`
	List    *struct {
		Width int    `json:"bits"`
		List  string `json:"lst"`
	} `json:"status_list"`
}

// parseList checks what came from the URI of a list. Its signature has held.
func (v *Verifier) parseList(c *compact, uri string, now time.Time) (*edition, error) {
	var in listClaims
	if _, err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case in.Subject != uri:
		return nil, errors.New("sub is not the address of the list: it is another list")
	case in.Issuer != "" && in.Issuer != v.o.Issuer:
		return nil, errors.New("it is of another issuer")
	case in.List == nil:
		return nil, errors.New("it lacks status_list")
	case in.TTL != nil && !(*in.TTL > 0 && plausible(*in.TTL)):
		return nil, errors.New("its ttl is not positive")
	}
	e := &edition{width: in.List.Width, confirmed: now}
	expires := in.Expires
	if expires == nil { // recommended, not required
		forever := 253402300799.0
		expires = &forever
	} else {
		e.expires = *expires
	}
	if err := v.checkTimes(in.Issued, expires, in.Before, now); err != nil {
		return nil, err
	}
	e.issued = *in.Issued
	if in.TTL != nil {
		e.ttl = time.Duration(min(*in.TTL, staleAfter.Seconds()) * float64(time.Second))
	}
	var err error
	e.bits, err = inflate(in.List.List)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]int{1, 2, 4, 8}, e.width) {
		return nil, errors.New("its bits are not 1, 2, 4 or 8")
	}
	return e, nil
}

// inflate reads lst (Token Status List §4.1): base64url of a zlib stream. To
// read it to its end checks its Adler-32.
func inflate(lst string) ([]byte, error) {
	if !isBase64url(lst) {
		return nil, errors.New("its lst is not base64url")
	}
	packed, err := base64url.DecodeString(lst)
	if err != nil {
		return nil, errors.New("its lst is not base64url")
	}
	rest := bytes.NewReader(packed)
	r, err := zlib.NewReader(rest)
	if err != nil {
		return nil, fmt.Errorf("its lst is not zlib: %w", err)
	}
	bits, err := io.ReadAll(io.LimitReader(r, mostBits+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("its lst is not zlib: %w", err)
	case len(bits) > mostBits:
		return nil, fmt.Errorf("its lst inflates to more than %d bytes", mostBits)
	case rest.Len() > 0:
		return nil, errors.New("its lst has something behind its end")
	}
	return bits, nil
}

// after is this edition coming after another one: it may not be older, nor
// smaller, and what was invalid stays so. changed reports whether any status
// is another one.
func (e *edition) after(old *edition) (changed bool, err error) {
	switch {
	case old == nil:
		return true, nil
	case e.issued < old.issued: // equal ones are usual: iat is rounded down
		return false, fmt.Errorf("its iat is %.0f s before that of the list at hand: an old list was sent again", old.issued-e.issued)
	case e.width != old.width || len(e.bits) < len(old.bits):
		return false, errors.New("it is smaller than the list at hand, or of another kind")
	}
	for i, was := range old.bits {
		if was != e.bits[i] {
			e.bits[i] = keepInvalid(was, e.bits[i], e.width)
			changed = changed || was != e.bits[i]
		}
	}
	return changed || len(e.bits) > len(old.bits), nil
}

// keepInvalid is the new byte of a list, with what was invalid in the old one.
func keepInvalid(was, is byte, width int) byte {
	mask := byte(1<<width - 1)
	for shift := 0; shift < 8; shift += width {
		if was>>shift&mask == invalid {
			is = is&^(mask<<shift) | invalid<<shift
		}
	}
	return is
}
