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
	"unicode"
	"unicode/utf8"

	"jeton/accounts"
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

// unfit says all that a body has and an act does not take. What does fit is decoded
// all the same.
type unfit struct {
	// of are the members that are wrong, told what is said of them.
	of   map[string]bool
	told []string
	// strange are those that there are none of, known those that there are.
	strange, known []string
}

func (u *unfit) Error() string {
	told := u.told
	if len(u.strange) > 0 {
		told = append(slices.Clip(told), fmt.Sprintf("there is no member %s here; there are %s", strings.Join(u.strange, ", "), strings.Join(u.known, ", ")))
	}
	return strings.Join(told, "; ")
}

func (u *unfit) add(member, format string, args ...any) {
	u.of[member] = true
	u.told = append(u.told, fmt.Sprintf(format, args...))
}

// judged adds to what is said of a body that does not fit what is wrong with the
// values of the rest, so that all is told at once.
func judged(err error, judge func() error) error {
	var u *unfit
	var invalid *accounts.InvalidError
	if !errors.As(err, &u) || !errors.As(judge(), &invalid) {
		return err
	}
	for _, fault := range invalid.Faults {
		// A value that could not be read is wrong already.
		if name, _, _ := strings.Cut(fault, ":"); !u.of[name] {
			u.told = append(u.told, fault)
		}
	}
	return err
}

func decodeStrict(body []byte, v any) error {
	if !utf8.Valid(body) {
		return badBody("the body is not UTF-8 text")
	}
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return badBody("the body is not a JSON object")
	}
	// The whole, which also refuses what follows the object.
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return badBody("the body is not JSON: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	_, err := d.Token()
	u := &unfit{of: make(map[string]bool), known: members(reflect.TypeOf(v).Elem())}
	seen := make(map[string]bool)
	for err == nil && d.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = d.Token(); err == nil {
			err = d.Decode(&value)
		}
		switch name, _ := name.(string); {
		case err != nil:
		case seen[name]:
			u.add(name, "the member %q stands there twice", name)
		default:
			seen[name] = true
			if !slices.Contains(u.known, name) {
				u.strange = append(u.strange, fmt.Sprintf("%q", name))
			} else if wrong := decodeMember(name, value, v); wrong != nil {
				u.add(name, "%s: %s", name, wrong)
			}
		}
	}
	if err != nil {
		return badBody("the body is not JSON: %v", err)
	}
	if len(u.told)+len(u.strange) > 0 {
		return u
	}
	return nil
}

// decodeMember puts one member into the struct v points to.
func decodeMember(name string, value json.RawMessage, v any) error {
	alone, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err == nil {
		err = json.Unmarshal(alone, v)
	}
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		return fmt.Errorf("a JSON %s is not what belongs here", other.Value)
	}
	return err
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
	// As in names: nothing that cannot be seen, or turns round what stands beside it.
	if len(r.Reason) > 500 || !utf8.ValidString(r.Reason) || strings.ContainsFunc(r.Reason, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return badBody("the reason is not up to 500 bytes of text on one line, all of it visible characters")
	}
	c.act.Note = r.Reason
	return nil
}
