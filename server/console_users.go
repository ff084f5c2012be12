package server

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// consoleUsers lists users by name.
//
// The page may be kept by the browser it was made for, for ten minutes, and by
// no other cache: operators go to and fro between the list and one user. What
// makes that safe: it varies by Cookie, so that nobody who is signed out, or
// signed in as somebody else, is shown what was kept, and so that one's own change
// is seen at once (see changedCookie). All else about it is no-store: the page is
// the only thing here that is the same twice.
func (s *Server) consoleUsers(o *operation) error {
	users, next, err := s.findUsers(o, o.sent.Get("q"), o.sent.Get("after"))
	if err != nil {
		return err
	}
	p := pages.Sheet{
		Frame: o.frame("/users"), Title: "Users",
		Search: &pages.Form{
			Action: o.at("/users", nil), Words: "Search", Kind: "plain",
			Inputs: []pages.Input{{Name: "q", Label: "Beginning of a user name, or a whole sub", Value: o.sent.Get("q"), Max: 255}},
		},
	}
	card := pages.Card{}
	if len(users) == 0 {
		card.Empty = emptyUsers(o)
	} else {
		card.Table = usersTable(o, users)
	}
	card.Pager = o.pager("/users", next)
	p.Cards = []pages.Card{card, {
		Title: "Everyone", Words: "For the day when nobody knows who has which token. You see what it ends before it does.",
		Danger: []pages.Link{o.link("End all sessions of everyone", "revoke", "all", "true")},
	}}
	s.cacheable(o, p.HTML())
	return nil
}

// findUsers finds a page of users by the beginning of their names, and who has
// just that sub. However many users there are, it reads one page of an index.
func (s *Server) findUsers(o *operation, search, after string) ([]storage.User, string, error) {
	var found []storage.User
	if sub := strings.TrimPrefix(search, accounts.SubjectPrefix); search != "" && after == "" {
		u, err := s.admin.Users.Find(o.ctx, named(sub))
		if err != nil && !errors.Is(err, grants.ErrNotFound) {
			return nil, "", err
		}
		if err == nil {
			found = append(found, u)
		}
	}
	users, next, err := s.admin.Users.List(o.ctx, search, after, consolePage)
	if invalid := new(accounts.InvalidError); errors.As(err, &invalid) && after == "" {
		return found, "", nil // no name begins so
	}
	for _, u := range users {
		if len(found) == 0 || u.Subject != found[0].Subject {
			found = append(found, u)
		}
	}
	return found, next, err
}

func usersTable(o *operation, users []storage.User) *pages.Table {
	t := &pages.Table{Caption: "Users", Columns: []string{"User", "Roles", "State", "Added", "sub"}}
	for _, u := range users {
		t.Rows = append(t.Rows, []pages.Cell{
			{Words: u.Username, Href: o.at("/user", url.Values{"sub": {u.Subject}})},
			{Words: strings.Join(u.Roles, " ")},
			{Badges: []pages.Badge{userState(u)}},
			{Time: pages.At(u.Created)},
			{Words: u.Subject, Code: true},
		})
	}
	return t
}

func userState(u storage.User) pages.Badge {
	if u.Disabled {
		return pages.Badge{Kind: "bad", Words: "disabled"}
	}
	return pages.Badge{Kind: "good", Words: "active"}
}

func emptyUsers(o *operation) *pages.Empty {
	if o.sent.Has("q") {
		return &pages.Empty{Title: "Nobody is called so", Words: "Names are searched from their beginning, and a sub only whole.",
			Link: &pages.Link{Href: o.at("/users", nil), Words: "Show all users"}}
	}
	return &pages.Empty{Title: "There is nobody on this page", Words: "Add users on the machine itself: jeton user add NAME --role ROLE_USER --password-stdin"}
}

// pager leads to the next page of the listing at the address, and to its first.
func (o *operation) pager(path, next string) *pages.Pager {
	p := new(pages.Pager)
	keep := url.Values{}
	for name, values := range o.sent {
		if name != "after" && name != "done" && name != "n" && name != toldParam {
			keep[name] = values
		}
	}
	if o.sent.Has("after") {
		p.First = o.at(path, keep)
	}
	if next != "" {
		keep.Set("after", next)
		p.Next = o.at(path, keep)
	}
	return p
}

// cacheable answers with a page that its reader's own browser may keep.
func (s *Server) cacheable(o *operation, html []byte) {
	sum := sha256.Sum256(html)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := o.w.Header()
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Vary", "Cookie")
	h.Set("ETag", tag)
	if slices.ContainsFunc(entityTags(o.r), func(sent string) bool { return strings.TrimPrefix(sent, "W/") == tag }) {
		h.Set("Cache-Control", usersCache)
		o.w.WriteHeader(http.StatusNotModified)
		return
	}
	s.writeCached(o.w, http.StatusOK, html, pages.OwnPolicy, usersCache)
}

const usersCache = "private, max-age=600"
