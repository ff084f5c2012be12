package pages

import (
	"bytes"
	"html/template"
	"strings"
	"testing"
	"time"
)

func block(t *testing.T, name string, data any) string {
	t.Helper()
	blocks := template.Must(template.New("x").Parse(`{{define "title"}}{{end}}` + text("blocks.html")))
	var b bytes.Buffer
	if err := blocks.ExecuteTemplate(&b, name, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What the console builds on, and no page here has all of.
func TestBlocks(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  any
		has   []string
		lacks []string
	}{
		{"table", Table{Caption: "Users", Columns: []string{"Name", "State"}, Rows: [][]Cell{{{Words: "alice", Href: "/console/users/alice"}, {Badges: []Badge{{"bad", "disabled"}}}}}},
			[]string{`<th scope="col" role="columnheader">Name</th>`, `<td role="cell" data-label="State">`, `<a href="/console/users/alice">alice</a>`, `<span class="badge bad">disabled</span>`, `aria-label="Users"`, `tabindex="0"`}, nil},
		{"table", Table{Columns: []string{"kid", "Age", "Act"}, Rows: [][]Cell{{{Words: "kid", Code: true}, {Time: At(time.Unix(0, 0))}, {Act: &Act{Action: "/x", Token: "t", Words: "End", About: "it", Kind: "danger"}}}}},
			[]string{"<code>kid</code>", `<time datetime="1970-01-01T00:00:00Z">1 Jan 1970, 00:00 UTC</time>`, `<button class="small danger">End<span class="unseen"> it</span></button>`, `name="form_token" value="t"`}, nil},
		{"table", Table{Columns: []string{"kid"}, Rows: [][]Cell{{{Words: "abc…", Whole: "abcdef"}}}}, []string{`<summary><code>abc…</code></summary><code>abcdef</code>`, `<tr role="row">`}, nil},
		{"pager", Pager{Next: "/next"}, []string{`rel="next" href="/next"`}, []string{"beginning"}},
		{"pager", Pager{First: "/"}, []string{"beginning"}, []string{"next"}},
		{"pager", Pager{}, nil, []string{"nav"}},
		{"input", Input{Name: "p", Label: "Password", Type: "password", Required: true, Hint: "15 or more", Fault: "too short", Max: 9},
			[]string{`<label for="p">Password</label>`, `aria-describedby="p-hint p-fault"`, `aria-invalid="true"`, `type="password"`, `required`, `maxlength="9"`, `id="p-fault">too short`}, []string{"autofocus"}},
		{"input", Input{Name: "q", Label: "Search"}, []string{`type="text"`}, []string{"aria-", "required", "maxlength"}},
		{"said", Said{"bad", "no"}, []string{`role="alert"`, "said bad"}, nil},
		{"said", Said{"", "well"}, []string{`role="status"`, `class="said"`}, nil},
	} {
		got := block(t, c.name, c.data)
		for _, part := range c.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s %+v lacks %q: %s", c.name, c.data, part, got)
			}
		}
		for _, part := range c.lacks {
			if strings.Contains(got, part) {
				t.Errorf("%s %+v has %q: %s", c.name, c.data, part, got)
			}
		}
	}
	if At(time.Time{}) != nil {
		t.Error("no time is a moment")
	}
}
