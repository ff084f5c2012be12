package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// Reports takes what applications outside tell of. A report does what the same
// fact does here, by the same settings: it can end sessions and disable, and
// never let anyone in or give a right.
type Reports struct {
	Users   *Users
	Clients *Clients
}

// Report is an event that somebody else knows of.
type Report struct {
	// Type is one of [ReportTypes].
	Type string
	// Exactly one of these says whom it is about. A session stands for its user,
	// and is the one that a password was changed in or that was left.
	Subject, Username, SessionID, ClientID string
	// ID tells the report from others of the same reporter about the same user or
	// client: it is taken once. Empty for one that is taken each time.
	ID string
	// Occurred is when it happened, zero for now.
	Occurred time.Time
}

// Reported is what came of a report.
type Reported struct {
	// Event is the id of the event that tells of it, empty when there was nothing
	// left to end.
	Event    string
	Reaction grants.Reaction
	// Repeated says that the report was taken before.
	Repeated bool
}

// ReportTypes are the types that are understood. They are those of the events
// that reports become.
var ReportTypes = []string{
	events.Logout, events.PasswordChanged, events.PasswordReset, events.RolesChanged,
	events.AccountDisabled, events.AccountCompromised, events.ClientCompromised,
}

// oldestReport is how far back a report may reach: as long as its id is
// remembered.
const oldestReport = events.Kept

// Take acts on a report. What it asks for is done, with the event that tells of
// it, in one commit or not at all.
func (r *Reports) Take(ctx context.Context, report Report, act Act) (Reported, error) {
	store := r.Users.Store
	now, err := store.Now(ctx)
	if err != nil {
		return Reported{}, err
	}
	if err := report.check(now); err != nil {
		return Reported{}, err
	}
	event := events.New(report.Type, now)
	event.Actor, event.Note, event.Source = act.By, act.Note, act.Source
	event.Report, event.Occurred = report.ID, report.Occurred.UTC()
	var out Reported
	if report.ClientID != "" {
		out, err = r.takeClient(ctx, report, event, act)
	} else {
		out, err = r.takeUser(ctx, report, event, act)
	}
	before := new(grants.RepeatedError)
	switch {
	case !errors.As(err, &before):
		return out, err
	case before.Type != report.Type:
		return Reported{}, exists("the id", report.ID, "it is that of a report of type "+before.Type+"; give each event an id of its own")
	}
	// Who repeats a report has had no answer. What the first one began may still
	// have to be finished.
	return Reported{Event: before.Event, Reaction: out.Reaction, Repeated: true}, r.Users.Grants.ResumeReported(ctx, before)
}

func (r Report) check(now time.Time) error {
	var wrong faults
	if !slices.Contains(ReportTypes, r.Type) {
		wrong.add("type: %q is not understood; there are %s", r.Type, strings.Join(ReportTypes, ", "))
	}
	var named []string
	for _, subject := range [][2]string{{"sub", r.Subject}, {"username", r.Username}, {"sid", r.SessionID}, {"client_id", r.ClientID}} {
		if subject[1] != "" {
			named = append(named, subject[0])
		}
	}
	switch aboutClient := r.Type == events.ClientCompromised; {
	case aboutClient && (len(named) != 1 || r.ClientID == ""):
		wrong.add("%s is about a client: name it by client_id, and nothing beside it%s", r.Type, instead(named))
	case !aboutClient && (len(named) != 1 || r.ClientID != ""):
		wrong.add("say which user it is about, by exactly one of sub, username and sid%s; client_id is for %s", instead(named), events.ClientCompromised)
	}
	if r.ID != "" && !printable(r.ID, 255, `"\`) {
		wrong.add(`id: it is not 1 to 255 printable ASCII characters without space, " and \`)
	}
	switch age := now.Sub(r.Occurred); {
	case r.Occurred.IsZero():
	case age < -time.Minute:
		wrong.add("occurred_at: %s is in the future: set your clock right", r.Occurred.UTC().Format(time.RFC3339))
	case age > oldestReport:
		wrong.add("occurred_at: more than %d days ago is too late to act on: end the sessions themselves", oldestReport/storage.Day)
	}
	return wrong.err()
}

// instead says what was named in place of what is right.
func instead(named []string) string {
	if len(named) == 0 {
		return ""
	}
	return " (here are " + strings.Join(named, ", ") + ")"
}

// user finds whom a report is about, and the session where one is named.
func (r *Reports) user(ctx context.Context, report Report) (user storage.User, ses storage.Session, err error) {
	name := report.Username
	switch {
	case report.SessionID != "":
		if !printable(report.SessionID, 255, "") {
			return user, ses, notFound("session", report.SessionID)
		}
		rec, err := r.Users.Grants.FindSession(ctx, report.SessionID)
		if err != nil {
			return user, ses, err
		}
		ses, name = rec.Value, SubjectPrefix+rec.Value.Subject
	case report.Subject != "":
		name = SubjectPrefix + report.Subject
	}
	user, err = r.Users.Find(ctx, name)
	return user, ses, err
}

func (r *Reports) takeUser(ctx context.Context, report Report, event storage.Event, act Act) (Reported, error) {
	user, ses, err := r.user(ctx, report)
	if err != nil {
		return Reported{}, err
	}
	event.Subject, event.Session = user.Subject, ses.ID
	reaction, reason := r.reaction(report.Type)
	end := act.endingOf(reason)
	if report.Type == events.Logout && ses.ID != "" {
		reaction, done, err := r.Users.Grants.Logout(ctx, ses, end, event)
		out := Reported{Event: event.ID, Reaction: reaction}
		if !done {
			out.Event = ""
		}
		return out, err
	}
	end.Except = ses.ID
	facts := []storage.Event{event}
	if reaction == grants.DisableUser && !user.Disabled {
		facts = append(facts, disabledEvent(event, events.UserDisabled))
	}
	_, err = r.Users.Grants.ChangeUser(ctx, user.Subject, func(fresh *storage.User) error {
		if Deleted(*fresh) {
			return notFound("user", user.Username)
		}
		if reaction == grants.DisableUser {
			fresh.Disabled = true
		}
		return nil
	}, reaction.Ending(end), facts...)
	return Reported{Event: event.ID, Reaction: reaction}, err
}

// reaction is what a report about a user brings about.
func (r *Reports) reaction(kind string) (grants.Reaction, string) {
	on := r.Users.Grants.Settings.On
	switch kind {
	case events.PasswordChanged:
		return on.PasswordChange.To(grants.OnPasswordChange), storage.ReasonPasswordChanged
	case events.PasswordReset:
		return on.PasswordReset.To(grants.OnPasswordReset), storage.ReasonPasswordReset
	case events.RolesChanged:
		// Which, nobody says: one may have been lost.
		return on.RolesLost.To(grants.OnRolesLost), storage.ReasonRolesChanged
	case events.AccountDisabled:
		return on.AccountDisabled.To(grants.OnAccountDisabled), storage.ReasonUserDisabled
	case events.AccountCompromised:
		return on.AccountCompromised.To(grants.OnAccountCompromised), storage.ReasonCompromised
	case events.Logout: // of the user, not of one session
		return grants.EndAllSessions, storage.ReasonLogout
	}
	panic(fmt.Sprintf("accounts: %s is no report about a user", kind))
}

func (r *Reports) takeClient(ctx context.Context, report Report, event storage.Event, act Act) (Reported, error) {
	client, err := r.Clients.Find(ctx, report.ClientID)
	if err != nil {
		return Reported{}, err
	}
	event.ClientID = client.ID
	reaction := r.Clients.Grants.Settings.On.ClientCompromised.To(grants.OnClientCompromised)
	facts := []storage.Event{event}
	if reaction == grants.DisableClient && !client.Disabled {
		facts = append(facts, disabledEvent(event, events.ClientDisabled))
	}
	_, err = r.Clients.Grants.ChangeClient(ctx, client.ID, func(fresh *storage.Client) error {
		if reaction == grants.DisableClient {
			fresh.Disabled = true
		}
		return nil
	}, reaction.Ending(act.endingOf(storage.ReasonLeaked)), facts...)
	return Reported{Event: event.ID, Reaction: reaction}, err
}

// disabledEvent tells what a report has done here.
func disabledEvent(report storage.Event, what string) storage.Event {
	e := events.New(what, report.Time)
	e.Subject, e.ClientID, e.Actor, e.Note, e.Source = report.Subject, report.ClientID, report.Actor, report.Note, report.Source
	return e
}
