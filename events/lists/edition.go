package lists

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// typeList is the typ of a signed status list (Token Status List §5.1).
const typeList = "statuslist+jwt"

// Edition is a signed list. It never changes.
type Edition struct {
	// Body is the JWT.
	Body []byte
	// ETag names the body, in quotes; its part before the dot names the bits.
	ETag string

	list    *list
	version uint64
	issued  time.Time // its iat
	gzip    func() []byte
}

// Gzip is the body, compressed.
func (e *Edition) Gzip() []byte { return e.gzip() }

// SameBits reports whether a tag, in quotes, is that of an edition with the
// same bits, whichever node signed it, and when.
func (e *Edition) SameBits(tag string) bool {
	mine, _, _ := strings.Cut(e.ETag, ".")
	theirs, _, ok := strings.Cut(strings.TrimPrefix(tag, "W/"), ".")
	return ok && mine == theirs
}

// Latest returns the newest edition of a list, and whether what it says is
// known to be true now. If not, the store is away: then it is the one that was
// signed last. Errors wrap ErrUnknown, or [storage.ErrUnavailable].
func (p *Publisher) Latest(ctx context.Context, number uint32) (e *Edition, fresh bool, err error) {
	l, err := p.list(ctx, number)
	if err != nil {
		return nil, false, err
	}
	if p.well() { // else the loop tries, and nobody waits for it
		p.look(lookPause)
	}
	return p.sign(ctx, l, p.well())
}

// well reports whether the last look was good.
func (p *Publisher) well() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble == nil
}

// sign makes a new edition if the last one is not true or too old, and if what
// is in memory is fresh.
func (p *Publisher) sign(ctx context.Context, l *list, well bool) (*Edition, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := well && time.Since(l.seen) < stale
	switch {
	case l.retired:
		return nil, false, ErrUnknown
	case l.edition == nil && !fresh:
		return nil, false, fmt.Errorf("lists: the list cannot be read: %w", storage.ErrUnavailable)
	case !fresh:
		return l.edition, false, nil
	}
	issued := l.confirmed.Truncate(step)
	if l.edition != nil && l.edition.version == l.version && !issued.After(l.edition.issued) {
		return l.edition, true, nil
	}
	e, err := p.newEdition(context.WithoutCancel(ctx), l, issued)
	if err != nil {
		return nil, false, err
	}
	l.edition = e
	return e, true, nil
}

// claims are those of Token Status List §5.1.
type claims struct {
	jwt.RegisteredClaims
	TTL  int64 `json:"ttl"`
	List struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
}

func (p *Publisher) newEdition(ctx context.Context, l *list, issued time.Time) (*Edition, error) {
	c := claims{TTL: int64(TTL.Seconds()), RegisteredClaims: jwt.RegisteredClaims{
		Subject: l.uri, IssuedAt: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(issued.Add(Life)),
	}}
	lst, err := p.press.zlib(l.bits)
	if err != nil {
		return nil, fmt.Errorf("lists: compressing a status list: %w", err)
	}
	c.List.Bits, c.List.List = 1, lst
	token, _, err := p.cfg.Keys.Sign(ctx, l.confirmed, keys.UseStatus, typeList, c)
	if err != nil {
		return nil, fmt.Errorf("lists: signing a status list: %w", err)
	}
	e := &Edition{Body: []byte(token), list: l, version: l.version, issued: issued}
	e.ETag = `"` + digest(l.bits) + "." + digest(e.Body) + `"`
	e.gzip = sync.OnceValue(func() []byte { return compress(e.Body) })
	return e, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// press compresses one list at a time: its writers take a megabyte each.
type press struct {
	mu            sync.Mutex
	sparse, dense *zlib.Writer
}

// From one bit in denseFrom on, runs of zeros are too short to be worth looking
// for, and codes alone make a list smaller, in less time.
const denseFrom = 50

// zlib is a list in the form of Token Status List §4.1. Of the levels it takes a
// quick one: the best takes a hundred times as long for a list with one token in
// a hundred revoked, 98 ms in place of 1, for a fifth of its size, and each
// change of a list has every node compress it again.
func (p *press) zlib(list []byte) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out bytes.Buffer
	if p.sparse == nil {
		p.sparse, _ = zlib.NewWriterLevel(io.Discard, 4) // both levels exist
		p.dense, _ = zlib.NewWriterLevel(io.Discard, zlib.HuffmanOnly)
	}
	w := p.sparse
	if ones(list) > 8*len(list)/denseFrom {
		w = p.dense
	}
	w.Reset(&out)
	if _, err := w.Write(list); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}

func ones(b []byte) (n int) {
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return n
}

// compress cannot fail: it writes to memory.
func compress(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // Huffman coding undoes base64; there is little else to find
	w.Write(body)
	w.Close()
	return out.Bytes()
}
