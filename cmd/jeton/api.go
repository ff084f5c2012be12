package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// api speaks the admin API, over a socket or to a handler in this process.
type api struct {
	client *http.Client
	// store identifies the file that the caller means, see [storeHeader].
	store string
	close func()
}

// apiBase is the address of the admin API on either way; its host is nobody's.
const apiBase = "http://jeton.localhost/admin/v1"

// mostAnswer bounds one answer: a page of a thousand of the largest clients.
const mostAnswer = 256 << 20

// apiError is a refusal by the admin API. Its words are meant for operators.
type apiError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
	// next is what to do, where the words do not say it.
	next string
}

func (e *apiError) Error() string {
	if e.Description == "" {
		return fmt.Sprintf("the server refused with status %d and no reason: see its log", e.Status)
	}
	return e.Description + e.next
}

// jsonLines is a body of one JSON object a line.
type jsonLines []byte

// do sends one request. The answer is raw JSON, nil when it has no body.
func (a *api) do(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	answer, _, err := a.send(ctx, method, apiBase+path, body)
	return answer, err
}

// list walks a listing to its end and hands on page after page, so that
// neither side has to hold it all.
func (a *api) list(ctx context.Context, path string, query url.Values, each func([]json.RawMessage) error) error {
	next := apiBase + path
	if len(query) > 0 {
		next += "?" + query.Encode()
	}
	for next != "" {
		answer, header, err := a.send(ctx, http.MethodGet, next, nil)
		if err != nil {
			return err
		}
		var page []json.RawMessage
		if err := json.Unmarshal(answer, &page); err != nil {
			return fmt.Errorf("the server's listing cannot be read, is it of another version? %w", err)
		}
		if err := each(page); err != nil {
			return err
		}
		if next, err = nextPage(next, header); err != nil {
			return err
		}
	}
	return nil
}

// linkNext finds the next page in a Link header (RFC 8288).
var linkNext = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

// nextPage is the address of the page after this one, empty at the end. Only
// its query is taken: the path stays where the operator's request went.
func nextPage(this string, header http.Header) (string, error) {
	m := linkNext.FindStringSubmatch(strings.Join(header.Values("Link"), ","))
	if m == nil {
		return "", nil
	}
	link, err := url.Parse(m[1])
	if err != nil {
		return "", fmt.Errorf("the server's link to the next page cannot be read: %w", err)
	}
	path, _, _ := strings.Cut(this, "?")
	next := path + "?" + link.RawQuery
	if next == this {
		return "", fmt.Errorf("the server's listing does not come to an end at %s", next)
	}
	return next, nil
}

func (a *api) send(ctx context.Context, method, address string, body any) (json.RawMessage, http.Header, error) {
	var payload io.Reader
	kind := "application/json"
	switch body := body.(type) {
	case nil:
	case jsonLines:
		payload, kind = bytes.NewReader(body), "application/x-ndjson"
	default:
		b, err := json.Marshal(body)
		if err != nil {
			return nil, nil, fmt.Errorf("the request cannot be written: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, payload)
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if a.store != "" {
		req.Header.Set(storeHeader, a.store)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("interrupted: look whether it was done before you repeat it")
		}
		return nil, nil, &awayError{"the server went away before it answered: look whether it was done before you repeat it", err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, nil, &awayError{"the server went away within its answer: look whether it was done before you repeat it", err}
	}
	if resp.StatusCode/100 == 2 {
		return answer, resp.Header, nil
	}
	refused := &apiError{Status: resp.StatusCode}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/json" {
		_ = json.Unmarshal(answer, refused) // what cannot be read is told by its status
	}
	if refused.Code == "" && resp.StatusCode == http.StatusServiceUnavailable {
		refused.Code = "temporarily_unavailable"
	}
	if refused.Code == "not_found" {
		refused.next = "; see jeton " + listFor(strings.TrimPrefix(address, apiBase+"/"), refused.Description) + " list"
	}
	return nil, nil, refused
}

// listFor is the noun whose list has what an address named in vain; the refusal
// says which of several names it was.
func listFor(address, refusal string) string {
	path, query, filtered := strings.Cut(address, "?")
	named := path == "consents/revoke" || path == "sessions/revoke" || path == "preview" // several, in the body
	switch missing, _, _ := strings.Cut(refusal, " "); {
	case named && (missing == "user" || missing == "client" || missing == "session"):
		return missing
	case strings.HasPrefix(path, "registration-tokens/"):
		return "client registration-token"
	case filtered && strings.Contains(query, "username="):
		return "user"
	case filtered && strings.Contains(query, "client_id="):
		return "client"
	}
	noun, _, _ := strings.Cut(path, "/")
	return strings.TrimSuffix(noun, "s")
}

// segment escapes a name for a path. A dot alone would be taken for a step.
func segment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
