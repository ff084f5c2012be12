package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"regexp"
	"strings"
	"testing"
)

// hostile is what a name must not be able to do.
const hostile = `"><script>alert(1)</script><b>`

func everyPage() map[string][]byte {
	act := &Act{Action: hostile, Token: hostile, Words: hostile, About: hostile, Kind: hostile, Fields: []Field{{hostile, hostile}}}
	frame := Frame{Service: hostile, Area: hostile, Nav: []Link{{Href: hostile, Words: hostile, Here: true}}, Username: hostile, SignOut: *act, Said: &Said{hostile, hostile}}
	moment := &Moment{hostile, hostile}
	rows := []Row{{Title: hostile, Badge: &Badge{hostile, hostile}, Lines: [][]Part{{{hostile, moment, hostile}, {Words: hostile}}}, Act: act}}
	empty := Empty{Title: hostile, Words: hostile, Link: &Link{Href: hostile, Words: hostile}}
	inputs := []Input{{Name: hostile, Label: hostile, Type: hostile, Value: hostile, Autocomplete: hostile, Hint: hostile, Fault: hostile}}
	choice := &Choice{hostile, hostile, hostile, hostile, []Option{{hostile, hostile, true}}}
	return map[string][]byte{
		"account":            Account{Frame: frame, Facts: []Fact{{Name: hostile, Value: hostile}, {Value: hostile, Code: true}, {Time: moment}}, Sessions: rows, EndOthers: act, More: hostile}.HTML(),
		"account, empty":     Account{Frame: frame, Empty: empty}.HTML(),
		"applications":       Applications{Frame: frame, Rows: rows}.HTML(),
		"applications, none": Applications{Frame: frame, Empty: empty}.HTML(),
		"password":           Password{Frame: frame, Lead: hostile, Fault: hostile, Action: hostile, Token: hostile, Inputs: inputs}.HTML(),
		"activity":           Activity{Frame: frame, Lead: hostile, Rows: rows}.HTML(),
		"forgot":             Forgot{Service: hostile, Action: hostile, Token: hostile, Back: hostile, Username: hostile, Fault: hostile}.HTML(),
		"reset":              Reset{Service: hostile, Action: hostile, Token: hostile, Username: hostile, Fault: hostile, Inputs: inputs}.HTML(),
		"sheet": Sheet{Frame: frame, Title: hostile, Lead: hostile, Badges: []Badge{{hostile, hostile}}, Search: &Form{Action: hostile, Inputs: inputs, Words: hostile}, Cards: []Card{{
			Title: hostile, Words: hostile, Kind: hostile, Facts: []Fact{{Name: hostile, Value: hostile, Time: moment}}, Steps: []Step{{hostile, moment, hostile, hostile, hostile}},
			Table: &Table{Caption: hostile, Columns: []string{hostile}, Rows: [][]Cell{{{Words: hostile, Href: hostile}}, {{Words: hostile, Whole: hostile}}}}, Empty: &empty, Pager: &Pager{hostile, hostile},
			Links: []Link{{Href: hostile, Words: hostile}}, Danger: []Link{{Href: hostile, Words: hostile}}, Form: &Form{
				Action: hostile, Token: hostile, Fields: []Field{{hostile, hostile}}, Words: hostile, Kind: hostile, Cancel: hostile, Back: &Field{hostile, hostile},
				Inputs: []Input{{Name: hostile, Label: hostile, Value: hostile, Hint: hostile, Fault: hostile, Rows: 2}}, Choice: choice,
				Groups: []Group{{Legend: hostile, Words: hostile, Fault: hostile, Controls: []Control{{Input: &inputs[0]}, {Choice: choice}, {Tick: &Tick{hostile, hostile, hostile, hostile, true}}}}, {Legend: hostile, Words: hostile, Folded: true, Open: true}}},
		}}}.HTML(),

		"login":  Login{Service: hostile, Client: hostile, Action: hostile, Token: hostile, Username: hostile, Fault: hostile, Forgot: hostile}.HTML(),
		"choose": Choose{Service: hostile, Client: hostile, Action: hostile, Token: hostile, Username: hostile}.HTML(),
		"consent": Consent{Service: hostile, Client: hostile, Registered: hostile, Host: hostile, Action: hostile, Token: hostile, Username: hostile,
			Scopes: []Scope{{Name: hostile}, {Words: hostile}}, Lifetime: hostile}.HTML(),
		"answer":     Answer{Service: hostile, Client: hostile, Action: template.URL(hostile), Fields: []Field{{hostile, hostile}}}.HTML(),
		"notice":     Notice{Service: hostile, Title: hostile, Words: []string{hostile}, Code: hostile, Link: &Link{Href: hostile, Words: hostile}}.HTML(),
		"devicecode": DeviceCode{Service: hostile, Action: hostile, Code: hostile, Fault: hostile}.HTML(),
		"device": Device{Service: hostile, Client: hostile, Action: hostile, Token: hostile, Username: hostile, Code: hostile, Asked: hostile, Agent: hostile,
			Network: hostile, Beside: hostile, Scopes: []Scope{{Name: hostile}, {Words: hostile}}, Lifetime: hostile}.HTML(),
		"signout": SignOut{Service: hostile, Client: hostile, Action: hostile, Token: hostile, Username: hostile, Fields: []Field{{hostile, hostile}}}.HTML(),
	}
}

var (
	element = regexp.MustCompile(`(?s)<(style|script)>(.*?)</`)
	outside = regexp.MustCompile(`(?i)(src|href|action|style|on[a-z]+)\s*=\s*"?(https?:|//|javascript:)`)
)

func TestPagesEscapeAndKeepTheirPolicy(t *testing.T) {
	for name, html := range everyPage() {
		policy := Policy
		if name == "answer" {
			policy = AnswerPolicy
		}
		for _, m := range element.FindAllSubmatch(html, -1) {
			sum := sha256.Sum256(m[2])
			if source := string(m[1]) + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, source) {
				t.Errorf("%s: %s is not in %q", name, source, policy)
			}
		}
		if bytes.Contains(html, []byte("alert(1)</script>")) || bytes.Contains(html, []byte("<b>")) {
			t.Errorf("%s: not escaped: %s", name, html)
		}
		if bytes.Contains(html, []byte(" style=")) || outside.Match(html) {
			t.Errorf("%s: %s", name, outside.Find(html))
		}
		if !bytes.HasPrefix(html, []byte("<!doctype html>")) || !bytes.HasSuffix(html, []byte("</html>")) || !bytes.Contains(html, []byte(`<html lang="en">`)) || bytes.Count(html, []byte("<h1>")) != 1 {
			t.Errorf("%s: not a whole page", name)
		}
	}
}
