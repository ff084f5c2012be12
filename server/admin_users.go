package server

import (
	"net/http"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// userObject is a user as the admin API shows one. A hash is never shown.
type userObject struct {
	Subject         string         `json:"sub"`
	Username        string         `json:"username"`
	Roles           []string       `json:"roles"`
	Claims          storage.Claims `json:"claims,omitzero"`
	Disabled        bool           `json:"disabled"`
	HasPassword     bool           `json:"has_password"`
	Created         time.Time      `json:"created_at"`
	Updated         time.Time      `json:"updated_at"`
	PasswordChanged time.Time      `json:"password_changed_at,omitzero"`
}

func showUser(u storage.User) userObject {
	return userObject{
		Subject: u.Subject, Username: u.Username, Roles: list(u.Roles), Claims: u.Claims, Disabled: u.Disabled, HasPassword: u.PasswordHash != "",
		Created: u.Created.UTC(), Updated: u.Updated.UTC(), PasswordChanged: u.PasswordChanged.UTC(),
	}
}

// list is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// answerUser is how most acts on a user end.
func answerUser(u storage.User, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, showUser(u), nil
}

func (a *Admin) listUsers(c *call) (int, any, error) {
	q, err := c.query("prefix", "after", "limit")
	if err != nil {
		return 0, nil, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return 0, nil, err
	}
	users, next, err := a.Users.List(c.ctx, q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		return 0, nil, err
	}
	a.linkNext(c, q, next, limit)
	page := make([]userObject, len(users))
	for i, u := range users {
		page[i] = showUser(u)
	}
	return http.StatusOK, page, nil
}

func (a *Admin) addUser(c *call) (int, any, error) {
	var body struct {
		Username string         `json:"username"`
		Subject  string         `json:"sub"`
		Roles    []string       `json:"roles"`
		Claims   storage.Claims `json:"claims"`
		Password string         `json:"password"`
	}
	wanted := func() accounts.NewUser {
		return accounts.NewUser{Username: body.Username, Subject: body.Subject, Roles: body.Roles, Claims: body.Claims, Password: body.Password}
	}
	if err := judged(c.decode(&body), func() error { return a.Users.Judge(wanted()) }); err != nil {
		return 0, nil, err
	}
	u, err := a.Users.Add(c.ctx, wanted(), c.act)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, showUser(u), nil
}

func (a *Admin) showUser(c *call) (int, any, error) {
	return answerUser(a.Users.Find(c.ctx, c.vars["username"]))
}

func (a *Admin) setPassword(c *call) (int, any, error) {
	var body struct {
		Password string `json:"password"`
		reason
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if body.Password == "" {
		return 0, nil, badBody("password is missing: send the new one")
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	u, err := a.Users.SetPassword(c.ctx, c.vars["username"], body.Password, c.act)
	if err != nil {
		return 0, nil, err
	}
	_, reaction := a.Users.OnPassword(c.act, u.Subject)
	return http.StatusOK, struct {
		userObject
		Reaction grants.Reaction `json:"reaction"`
	}{showUser(u), reaction}, nil
}

// resetLink makes a link that is shown once, here: the store has its hash.
func (a *Admin) resetLink(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	u, link, expires, err := a.Users.ResetLink(c.ctx, c.vars["username"], c.act)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, struct {
		Subject  string    `json:"sub"`
		Username string    `json:"username"`
		Link     string    `json:"reset_link"`
		Expires  time.Time `json:"expires_at"`
	}{u.Subject, u.Username, link, expires.UTC()}, nil
}

func (a *Admin) setRoles(c *call) (int, any, error) {
	var body struct {
		Roles *[]string `json:"roles"`
		reason
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if body.Roles == nil {
		return 0, nil, badBody("roles is missing: send the whole list, [] for none")
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	return answerUser(a.Users.SetRoles(c.ctx, c.vars["username"], *body.Roles, c.act))
}

func (a *Admin) setClaims(c *call) (int, any, error) {
	var body storage.Claims
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	return answerUser(a.Users.SetClaims(c.ctx, c.vars["username"], body, c.act))
}

func (a *Admin) disableUser(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	return answerUser(a.Users.Disable(c.ctx, c.vars["username"], c.act))
}

func (a *Admin) enableUser(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	return answerUser(a.Users.Enable(c.ctx, c.vars["username"], c.act))
}

func (a *Admin) deleteUser(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	if err := a.Users.Delete(c.ctx, c.vars["username"], c.act); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
