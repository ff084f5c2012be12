package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"jeton/events/lists"
)

const (
	statusPath     = "/status"
	typeStatusList = "application/statuslist+jwt"
	// mostWait is the longest that a request for a list may wait for a change.
	mostWait = 50 * time.Second
	// listMaxAge is how long caches on the way may keep a list. It adds to the
	// ttl that verifiers go by, so it is a part of it.
	listMaxAge = lists.TTL / 3
)

// anyPage serves a public document: GET, also by pages of any origin.
func (s *Server) anyPage(h http.Handler) http.Handler {
	get := only(h, http.MethodGet, http.MethodHead, http.MethodOptions)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodOptions {
			header.Set("Access-Control-Expose-Headers", "ETag, Preference-Applied, Retry-After")
			get.ServeHTTP(w, r)
			return
		}
		header.Set("Allow", "GET, HEAD, OPTIONS")
		header.Set("Access-Control-Allow-Methods", "GET, HEAD")
		header.Set("Access-Control-Allow-Headers", "If-None-Match, Prefer")
		header.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	})
}

// statusLists is the aggregation of Token Status List §9.
func (s *Server) statusLists(w http.ResponseWriter, r *http.Request) {
	uris, err := s.cfg.Lists.All(r.Context())
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	body, err := json.Marshal(map[string][]string{"status_lists": uris})
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", cacheFor)
	h.Set("X-Content-Type-Options", "nosniff")
	send(w, r, body)
}

var cacheFor = fmt.Sprintf("public, max-age=%d", int(listMaxAge.Seconds()))

// statusList answers with one list, as it is or, with Prefer: wait and the tag
// of what the caller has, once it has changed.
func (s *Server) statusList(w http.ResponseWriter, r *http.Request) {
	number, ok := listNumber(mux.Vars(r)["list"])
	if !ok {
		notFound(w, r)
		return
	}
	if r.URL.Query().Has("time") { // Token Status List §8.4
		writeJSON(w, http.StatusNotImplemented, map[string]any{
			"error": "invalid_request", "error_description": "lists of other times are not kept: leave out the parameter time",
		})
		return
	}
	ask := listRequest{number: number, tags: entityTags(r), zipped: acceptsGzip(r)}
	e, fresh, err := s.cfg.Lists.Latest(r.Context(), number)
	if wait, asked := preferredWait(r); err == nil && fresh && asked && slices.ContainsFunc(ask.tags, e.SameBits) {
		if s.park(w, r, ask, e, wait) {
			return
		}
		if s.cfg.Lists.Wait(r.Context(), e, s.sourceOf(r).Address, wait) {
			waited(w, wait)
			e, fresh, err = s.cfg.Lists.Latest(r.Context(), number)
		}
	}
	s.answerList(w, r, ask, e, fresh, err)
}

// listRequest is what the answer to a request for a list depends on.
type listRequest struct {
	number uint32
	tags   []string
	zipped bool // it may be
}

// answerList answers with what the publisher has said.
func (s *Server) answerList(w http.ResponseWriter, r *http.Request, ask listRequest, e *lists.Edition, fresh bool, err error) {
	switch {
	case errors.Is(err, lists.ErrUnknown):
		notFound(w, r)
	case err != nil:
		writeProblem(w, r, err)
	case !fresh && len(ask.tags) > 0:
		// That nothing has changed is not known, and would count as fresh.
		p := unavailable("the server cannot reach its store, so it does not know whether the list has changed; try again shortly")
		noteError(r.Context(), p, errListAway)
		w.Header().Set("Retry-After", retryAfter)
		writeJSON(w, p.status, map[string]any{"error": p.code, "error_description": p.description})
	default:
		sendList(w, r, ask, e)
	}
}

var errListAway = errors.New("the store was not confirmed lately")

// sendList answers with an edition, or that the caller has it.
func sendList(w http.ResponseWriter, r *http.Request, ask listRequest, e *lists.Edition) {
	h := w.Header()
	body, etag := e.Body, e.ETag
	if ask.zipped {
		body, etag = e.Gzip(), gzipTag(e.ETag)
	}
	h.Set("Vary", "Accept-Encoding, Prefer")
	h.Set("Cache-Control", cacheFor)
	h.Set("ETag", etag)
	if slices.ContainsFunc(ask.tags, func(tag string) bool {
		tag = strings.TrimPrefix(tag, "W/")
		return tag == "*" || tag == e.ETag || tag == gzipTag(e.ETag)
	}) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", typeStatusList)
	h.Set("X-Content-Type-Options", "nosniff")
	if ask.zipped {
		h.Set("Content-Encoding", "gzip")
	}
	send(w, r, body)
}

// send writes a body, and only says how long it is to HEAD.
func send(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

// gzipTag is the tag of the compressed body, which is another representation
// (RFC 9110 §8.8.3.3).
func gzipTag(etag string) string { return strings.TrimSuffix(etag, `"`) + `.gz"` }

// listNumber reads a number as it stands in tokens, so that a list has one
// address.
func listNumber(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && text == strconv.FormatUint(n, 10)
}

// entityTags are those of If-None-Match.
func entityTags(r *http.Request) (tags []string) {
	for _, line := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// preferredWait reads the preference wait (RFC 7240 §4.3), in seconds, and
// bounds it. The first one counts.
func preferredWait(r *http.Request) (time.Duration, bool) {
	for _, line := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			return min(time.Duration(n)*time.Second, mostWait), err == nil && n > 0
		}
	}
	return 0, false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3) as far as gzip goes.
func acceptsGzip(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, weighed := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !weighed || err == nil && weight > 0
		}
	}
	return false
}
