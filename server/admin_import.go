package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// Bounds of an import. A whole import is many requests of one batch each, so
// that neither side holds it all, and one that was cut off goes on where it
// was: what is there already is skipped.
const (
	mostImportBody  = 8 << 20
	mostImportLines = 10_000
	// importAtOnce is how many lines are under way at the same time: the store
	// commits together what has queued.
	importAtOnce = 256
)

// imported is the answer to a batch.
type imported struct {
	Created  int           `json:"created"`
	Existing int           `json:"existing"`
	Faults   []importFault `json:"faults"`
}

// importFault is a line of which nothing was imported, counted from 1.
type importFault struct {
	Line        int    `json:"line"`
	Description string `json:"error_description"`
}

// userLine is a line of an import of users.
type userLine struct {
	Username     string         `json:"username"`
	Subject      string         `json:"sub"`
	Roles        []string       `json:"roles"`
	Claims       storage.Claims `json:"claims"`
	PasswordHash string         `json:"password_hash"`
	Disabled     bool           `json:"disabled"`
}

func (a *Admin) importUsers(c *call) (int, any, error) {
	return c.importLines(func(ctx context.Context, line []byte) (bool, error) {
		var u userLine
		err := decodeStrict(line, &u)
		wanted := accounts.NewUser{Username: u.Username, Subject: u.Subject, Roles: u.Roles, Claims: u.Claims, PasswordHash: u.PasswordHash, Disabled: u.Disabled}
		if err = judged(err, func() error { return a.Users.Judge(wanted) }); err != nil {
			return false, err
		}
		return a.Users.Import(ctx, wanted, c.act)
	})
}

func (a *Admin) importClients(c *call) (int, any, error) {
	return c.importLines(func(ctx context.Context, line []byte) (bool, error) {
		var n accounts.ImportedClient
		if err := judged(decodeStrict(line, &n), func() error { return a.Clients.Judge(n, c.act) }); err != nil {
			return false, err
		}
		return a.Clients.Import(ctx, n, c.act)
	})
}

// importLines hands each line of the body to one, which says whether it made
// something new. A line that is at fault is listed and the others go on; when
// the store fails, the batch fails, and may be sent again as it was.
func (c *call) importLines(one func(context.Context, []byte) (created bool, err error)) (int, any, error) {
	lines, err := c.lines()
	if err != nil {
		return 0, nil, err
	}
	type outcome struct {
		created bool
		err     error
	}
	outcomes := make([]outcome, len(lines))
	var wg sync.WaitGroup
	turns := make(chan struct{}, importAtOnce)
	for i, line := range lines {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			outcomes[i].created, outcomes[i].err = one(c.ctx, line)
		})
	}
	wg.Wait()
	answer := imported{Faults: []importFault{}}
	for i, o := range outcomes {
		switch {
		case o.err != nil && !lineFault(o.err):
			return 0, nil, o.err
		case o.err != nil:
			answer.Faults = append(answer.Faults, importFault{i + 1, adminProblemOf(o.err).description})
		case o.created:
			answer.Created++
		case len(bytes.TrimSpace(lines[i])) > 0:
			answer.Existing++
		}
	}
	return http.StatusOK, answer, nil
}

// lineFault reports whether an error is the line's and not the server's.
func lineFault(err error) bool {
	var own refusal
	var misfit *unfit
	var invalid *accounts.InvalidError
	return errors.As(err, &own) || errors.As(err, &misfit) || errors.As(err, &invalid) || errors.Is(err, grants.ErrExists) ||
		errors.Is(err, accounts.ErrOperatorOnly) || errors.Is(err, storage.ErrDamaged)
}

// lines reads a body of JSON lines.
func (c *call) lines() ([][]byte, error) {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/x-ndjson" {
		return nil, adminRefusal(http.StatusUnsupportedMediaType, "invalid_request", "the Content-Type must be application/x-ndjson: one JSON object a line")
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, mostImportBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, adminRefusal(http.StatusRequestEntityTooLarge, "invalid_request", "the body is larger than %d MiB: send it in several requests", mostImportBody>>20)
	} else if err != nil {
		return nil, badBody("the body could not be read")
	}
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	if len(lines) > mostImportLines {
		return nil, adminRefusal(http.StatusRequestEntityTooLarge, "invalid_request", "the body has more than %d lines: send them in several requests", mostImportLines)
	}
	return lines, nil
}
