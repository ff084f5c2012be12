package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// reported is an event that an application outside tells of.
type reported struct {
	Type      string    `json:"type"`
	Subject   string    `json:"sub"`
	Username  string    `json:"username"`
	SessionID string    `json:"sid"`
	ClientID  string    `json:"client_id"`
	ID        string    `json:"id"`
	Occurred  time.Time `json:"occurred_at"`
	reason
}

// eventsPath is where reports go, below [adminPath].
const eventsPath = "/events"

// reportEvent is POST /events.
func (a *Admin) reportEvent(c *call) (int, any, error) {
	var body reported
	out, err := a.takeReport(c, &body)
	kind := body.Type
	if !slices.Contains(accounts.ReportTypes, kind) {
		kind = "other" // what a reporter makes up is no label
	}
	a.countReport(c, kind, out.Repeated, err)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct {
		Event    string          `json:"event,omitempty"`
		Reaction grants.Reaction `json:"reaction"`
		Repeated bool            `json:"repeated"`
	}{out.Event, out.Reaction, out.Repeated}, nil
}

func (a *Admin) takeReport(c *call, body *reported) (accounts.Reported, error) {
	if err := c.decode(body); err != nil {
		return accounts.Reported{}, err
	}
	if err := c.because(body.reason); err != nil {
		return accounts.Reported{}, err
	}
	reports := accounts.Reports{Users: a.Users, Clients: a.Clients}
	return reports.Take(c.ctx, accounts.Report{
		Type: body.Type, Subject: body.Subject, Username: body.Username, SessionID: body.SessionID, ClientID: body.ClientID,
		ID: body.ID, Occurred: body.Occurred,
	}, c.act)
}

func (a *Admin) countReport(c *call, kind string, repeated bool, err error) {
	outcome := "ok"
	switch {
	case err != nil:
		outcome = adminProblemOf(err).code
	case repeated:
		outcome = "repeated"
	}
	noteOf(c.ctx).outcome = outcome
	if a.metrics == nil {
		return
	}
	id := c.actor.clientID()
	if id != "" {
		id = a.metrics.labelOf(id)
	}
	a.metrics.reports.WithLabelValues(id, kind, outcome).Inc()
}

// globalRevocationPath is where the endpoint of
// draft-parecki-oauth-global-token-revocation is.
const globalRevocationPath = adminPath + "/global-token-revocation"

// revokeGlobally is that endpoint: everything of one user ends, and they have to
// log in again (§3).
func (a *Admin) revokeGlobally(c *call) (int, any, error) {
	err := a.revokeSubject(c)
	a.countReport(c, "global_revocation", false, err)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}

func (a *Admin) revokeSubject(c *call) error {
	var body struct {
		SubjectID json.RawMessage `json:"sub_id"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if len(body.SubjectID) == 0 {
		return badBody("sub_id is missing: it says whose tokens are to be revoked (RFC 9493)")
	}
	name, err := a.subjectOf(body.SubjectID)
	if err != nil {
		return err
	}
	user, err := a.Users.Find(c.ctx, name)
	if err != nil {
		return err
	}
	_, err = a.Grants.End(c.ctx, grants.Selection{Subject: user.Subject}, grants.Ending{
		Reason: storage.ReasonGlobal, By: c.act.By, Source: c.act.Source,
	})
	return err
}

// subjectID is a Subject Identifier (RFC 9493 §3).
type subjectID struct {
	Format  string  `json:"format"`
	Issuer  *string `json:"iss"`
	Subject *string `json:"sub"`
	ID      *string `json:"id"`
	Email   *string `json:"email"`
}

// subjectOf is the name by which [accounts.Users.Find] finds whom a Subject
// Identifier means. Users have no email address here but as their login name.
func (a *Admin) subjectOf(raw json.RawMessage) (string, error) {
	var id subjectID
	if err := decodeStrict(raw, &id); err != nil {
		return "", err
	}
	// A format has its own members and no others (§3).
	var of []*string
	others := 0
	switch id.Format {
	case "iss_sub":
		of = []*string{id.Issuer, id.Subject}
	case "opaque":
		of = []*string{id.ID}
	case "email":
		of = []*string{id.Email}
	default:
		return "", badBody("the format %q of sub_id is not understood; there are iss_sub, opaque and email", id.Format)
	}
	for _, member := range []*string{id.Issuer, id.Subject, id.ID, id.Email} {
		if member != nil && !slices.Contains(of, member) {
			others++
		}
	}
	if others > 0 || slices.ContainsFunc(of, func(m *string) bool { return m == nil || *m == "" }) {
		return "", badBody("sub_id does not have the members of its format: iss_sub has iss and sub, opaque has id, email has email")
	}
	switch id.Format {
	case "iss_sub":
		if *id.Issuer != a.Grants.Settings.Issuer {
			return "", adminRefusal(http.StatusNotFound, "not_found", "this server knows users of the issuer %s only", a.Grants.Settings.Issuer)
		}
		return accounts.SubjectPrefix + *id.Subject, nil
	case "opaque":
		return accounts.SubjectPrefix + *id.ID, nil
	}
	if !strings.Contains(*id.Email, "@") || strings.HasPrefix(*id.Email, accounts.SubjectPrefix) {
		return "", badBody("the email of sub_id is not an address")
	}
	return *id.Email, nil
}
