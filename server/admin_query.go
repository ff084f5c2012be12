package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query returns the parameters of the URI, which are the known ones, each once:
// a misspelt filter must not list everything.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, badBody("the query of the URI is malformed")
	}
	for name, values := range q {
		if !slices.Contains(known, name) || len(values) > 1 {
			return nil, badBody("the query takes %s, each once", strings.Join(known, ", "))
		}
	}
	return q, nil
}

const (
	usualPage = 100
	mostPage  = 1000
)

func pageLimit(q url.Values) (int, error) {
	if !q.Has("limit") {
		return usualPage, nil
	}
	n, err := strconv.Atoi(q.Get("limit"))
	if err != nil || n < 1 || n > mostPage {
		return 0, badBody("the limit is not 1 to %d", mostPage)
	}
	return n, nil
}

// linkNext names the following page (RFC 8288), if there is one.
func (a *Admin) linkNext(c *call, q url.Values, next string, limit int) {
	if next == "" {
		return
	}
	q.Set("after", next)
	q.Set("limit", strconv.Itoa(limit))
	_, path, _ := strings.Cut(c.r.URL.EscapedPath(), adminPath)
	c.w.Header().Set("Link", "<"+a.Grants.Settings.Issuer+adminPath+path+"?"+q.Encode()+`>; rel="next"`)
}

// listPage answers with one page of a listing that takes no filter.
func listPage[T, Shown any](a *Admin, c *call, list func(ctx context.Context, after string, limit int) ([]T, string, error), show func(T) Shown) (int, any, error) {
	q, err := c.query("after", "limit")
	if err != nil {
		return 0, nil, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return 0, nil, err
	}
	all, next, err := list(c.ctx, q.Get("after"), limit)
	if err != nil {
		return 0, nil, err
	}
	a.linkNext(c, q, next, limit)
	page := make([]Shown, len(all))
	for i, one := range all {
		page[i] = show(one)
	}
	return http.StatusOK, page, nil
}
