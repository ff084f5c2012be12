package wellknown

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"jeton/keys"
)

const (
	typeJSON   = "application/json"
	typeKeySet = "application/jwk-set+json"
)

// document answers one well-known document from memory.
type document struct {
	ring *keys.Ring
	// build makes the body. It is called anew when the published keys change.
	build func(*keys.KeySet) []byte
	// keySet is true for the JWK Set, which has a media type of its own (RFC
	// 7517 §8.5). Many clients read only application/json, so that is what
	// they get unless they prefer the other.
	keySet bool
	made   atomic.Pointer[edition]
}

// edition is a document as it stands until the keys change.
type edition struct {
	of    *keys.KeySet
	plain representation
	named representation // as application/jwk-set+json
}

// representation is a body with headers that are ready to send. They are
// shared by all answers, each at its full capacity, so that an append copies.
type representation struct {
	body        []byte
	etag        []string
	contentType []string
	length      []string
}

func newRepresentation(body []byte, contentType string) representation {
	// Strong validators differ where the content type does (RFC 9110 §8.8.1).
	sum := sha256.Sum256(append([]byte(contentType+"\n"), body...))
	return representation{
		body:        body,
		etag:        []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`},
		contentType: []string{contentType},
		length:      []string{strconv.Itoa(len(body))},
	}
}

// current is the edition for the keys of this moment.
func (d *document) current() *edition {
	set := d.ring.KeySet()
	if e := d.made.Load(); e != nil && e.of == set {
		return e
	}
	body := d.build(set)
	e := &edition{of: set, plain: newRepresentation(body, typeJSON)}
	if d.keySet {
		e.named = newRepresentation(body, typeKeySet)
	}
	d.made.Store(e)
	return e
}

var (
	cacheControl  = []string{fmt.Sprintf("public, max-age=%d", int(keys.MaxAge.Seconds()))}
	anyOrigin     = []string{"*"}
	exposeETag    = []string{"ETag"}
	varyAccept    = []string{"Accept"}
	noSniff       = []string{"nosniff"}
	methods       = []string{"GET, HEAD, OPTIONS"}
	corsMethods   = []string{"GET, HEAD"}
	corsHeaders   = []string{"If-None-Match"}
	corsMaxAge    = []string{"86400"}
	methodRefused = []byte(`{"error":"invalid_request","error_description":"This document is read with GET."}` + "\n")
)

func (d *document) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	switch req.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h["Allow"] = methods
		h["Access-Control-Allow-Methods"] = corsMethods
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h["Allow"] = methods
		h.Set("Content-Type", typeJSON)
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusMethodNotAllowed)
		w.Write(methodRefused)
		return
	}
	e := d.current()
	r := &e.plain
	if d.keySet {
		h["Vary"] = varyAccept
		if prefersKeySet(req.Header["Accept"]) {
			r = &e.named
		}
	}
	r.send(w, req)
}

// send answers, or says that the caller has it already.
func (r *representation) send(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h["Access-Control-Expose-Headers"] = exposeETag
	h["Cache-Control"] = cacheControl
	h["Etag"] = r.etag
	if tags := req.Header["If-None-Match"]; len(tags) > 0 && matches(tags, r.etag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = r.contentType
	h["Content-Length"] = r.length
	h["X-Content-Type-Options"] = noSniff
	if req.Method == http.MethodGet {
		w.Write(r.body)
	}
}

// matches compares weakly, as RFC 9110 §13.1.2 wants it for If-None-Match.
func matches(tags []string, etag string) bool {
	for _, line := range tags {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// prefersKeySet reports whether an Accept header would rather have a JWK Set
// by its own name than as application/json.
func prefersKeySet(accept []string) bool {
	if !slices.ContainsFunc(accept, func(line string) bool { return strings.Contains(strings.ToLower(line), "jwk-set") }) {
		return false
	}
	named, plain := 0.0, 0.0
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			name, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					q = 0
				}
			}
			switch name {
			case typeKeySet:
				named = max(named, q)
			case typeJSON:
				plain = max(plain, q)
			}
		}
	}
	return named > plain
}
