package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostAdminBody is the most bytes of a body.
const mostAdminBody = 64 << 10

// decode reads the JSON object in the body into the struct v points to. What v
// has no member for is refused, since a misspelt name would otherwise leave
// undone what was asked for; so is a name that stands there twice.
func (c *call) decode(v any) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	return c.decodeBody(body, v)
}

func (c *call) decodeBody(body []byte, v any) error {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !(params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
		return adminRefusal(http.StatusUnsupportedMediaType, "invalid_request", "the Content-Type must be application/json")
	}
	return decodeStrict(body, v)
}

// decodeOptional is decode for acts that need no body at all.
func (c *call) decodeOptional(v any) error {
	body, err := c.body()
	if err == nil && len(body) > 0 {
		err = c.decodeBody(body, v)
	}
	return err
}

func (c *call) body() ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, mostAdminBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, adminRefusal(http.StatusRequestEntityTooLarge, "invalid_request", "the body is larger than %d KiB", mostAdminBody>>10)
	} else if err != nil {
		return nil, badBody("the body could not be read")
	}
	return body, nil
}

func decodeStrict(body []byte, v any) error {
	if !utf8.Valid(body) {
		return badBody("the body is not UTF-8 text")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return badBody("the body is not a JSON object")
	}
	known, seen := members(reflect.TypeOf(v).Elem()), make(map[string]bool)
	var strange, wrong []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return badBody("the body is not JSON: %v", err)
		}
		switch name := name.(string); {
		case seen[name]:
			wrong = append(wrong, fmt.Sprintf("the member %q stands there twice", name))
		case !slices.Contains(known, name):
			strange = append(strange, fmt.Sprintf("%q", name))
			fallthrough
		default:
			seen[name] = true
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return badBody("the body is not JSON: %v", err)
		}
	}
	if len(strange) > 0 {
		wrong = append(wrong, fmt.Sprintf("there is no member %s here; there are %s", strings.Join(strange, ", "), strings.Join(known, ", ")))
	}
	if len(wrong) > 0 {
		return badBody("%s", strings.Join(wrong, "; "))
	}
	// The whole once more, which also refuses what follows the object.
	if err := json.Unmarshal(body, v); err != nil {
		return badBody("the body does not fit: %v", err)
	}
	return nil
}

// members are the names that JSON has for the fields of a struct. Package json
// would take them in any case.
func members(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// reason is the member that acts with a reason share. It goes into events.
type reason struct {
	Reason string `json:"reason"`
}

// onlyBecause takes the body of an act that has at most a reason.
func (c *call) onlyBecause() error {
	var body struct{ reason }
	if err := c.decodeOptional(&body); err != nil {
		return err
	}
	return c.because(body.reason)
}

func (c *call) because(r reason) error {
	if len(r.Reason) > 500 || strings.ContainsFunc(r.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return badBody("the reason is not up to 500 bytes of text on one line")
	}
	c.act.Note = r.Reason
	return nil
}
