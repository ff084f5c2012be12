package server_test

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"jeton/pages"
)

func TestConsoleShowsAUser(t *testing.T) {
	b := console(t, options{})
	begun := b.clock.Now()
	login := b.login2(t, "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
	b.clock.Add(2 * time.Minute)
	used := b.clock.Now()
	for range 3 {
		login = b.refreshBy(t, login, "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
	}
	b.clock.Add(3 * time.Minute)
	a := b.page("/console/user?sub=u-alice")
	for _, want := range []string{"<h1>alice</h1>", "u-alice", "ROLE_USER", ">active<"} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%q is not on the page: %s", want, a.body)
		}
	}
	row := a.rowOf(t, "Sessions", ">live<")
	for column, want := range map[string]string{
		"Client": ">app</a>", "Device": ">Firefox on Linux, 127.0.0.0/24<", "Began": ">" + pages.At(begun).Words + "<", "Last used": ">" + pages.At(used).Words + "<",
		"Refreshes": ">3<", "Tokens": ">4<", "State": ">live<",
	} {
		if !strings.Contains(row[column], want) {
			t.Errorf("%s is %s, want %s", column, row[column], want)
		}
	}
	sid := segment(t, login.str("access_token"), 1)["sid"].(string)
	if a := b.page("/console/session?sid=" + sid); !strings.Contains(string(a.body), "It was last refreshed: 3 times by then") || !strings.Contains(string(a.body), "It lives") {
		t.Errorf("%s", a.body)
	}
	if a := b.page("/console/user?sub=nobody"); a.StatusCode != 404 {
		t.Errorf("nobody: %d", a.StatusCode)
	}
}

// rowOf is the row of a table in which that stands, by the names of its columns.
func (a answer) rowOf(t testing.TB, caption, part string) map[string]string {
	t.Helper()
	_, table, ok := strings.Cut(string(a.body), "<caption")
	if ok {
		table, _, ok = strings.Cut(table, "</table>")
	}
	if !ok || !strings.Contains(table, caption) {
		t.Fatalf("no table %s: %s", caption, a.body)
	}
	columns := regexp.MustCompile(`(?s)<th[^>]*>(.*?)</th>`).FindAllStringSubmatch(table, -1)
	for _, row := range regexp.MustCompile(`(?s)<tr.*?</tr>`).FindAllString(table, -1) {
		cells := regexp.MustCompile(`(?s)<td.*?</td>`).FindAllString(row, -1)
		if !strings.Contains(row, part) || len(cells) != len(columns) {
			continue
		}
		all := make(map[string]string)
		for i, cell := range cells {
			all[columns[i][1]] = cell
		}
		return all
	}
	t.Fatalf("no row with %s: %s", part, table)
	return nil
}

// refreshBy goes on with a session from a browser of that name.
func (b *browser) refreshBy(t testing.TB, was answer, agent string) answer {
	t.Helper()
	return b.node.post("/token", form("grant_type", "refresh_token", "refresh_token", was.str("refresh_token")), app, header("User-Agent", agent)).ok(t, 200)
}

// Page after page, each user stands on one of them, in the order of their names.
func TestConsoleUsersPageByPage(t *testing.T) {
	b := console(t, options{})
	b.fill(t, 0, 120)
	named := regexp.MustCompile(`>(person\d{6})</a>`)
	next := regexp.MustCompile(`rel="next" href="([^"]*)"`)
	var names []string
	for path, n := "/console/users?q=person", 0; path != ""; n++ {
		a := b.page(path)
		if back := strings.Contains(string(a.body), "From the beginning"); a.StatusCode != 200 || back != (n > 0) || n > 3 || strings.Contains(string(a.body), ">root</a>") {
			t.Fatalf("page %d: %d %s", n, a.StatusCode, a.body)
		}
		for _, m := range named.FindAllSubmatch(a.body, -1) {
			names = append(names, string(m[1]))
		}
		path = ""
		if m := next.FindSubmatch(a.body); m != nil {
			path = html.UnescapeString(string(m[1]))
		}
	}
	for i, name := range names {
		if name != fmt.Sprintf("person%06d", i) {
			t.Fatalf("at %d is %s", i, name)
		}
	}
	if len(names) != 120 {
		t.Errorf("%d users on all pages", len(names))
	}
}
