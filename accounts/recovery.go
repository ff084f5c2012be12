package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"jeton/grants"
	"jeton/mail"
	"jeton/storage"
)

// Recovery mails links for a new password to those who have forgotten theirs,
// and tells users by mail that their password was changed. It works on a queue
// of its own: how long a request takes says nothing of who exists.
type Recovery struct {
	Users *Users
	Mail  *mail.Sender
	// Service is what mails call this server.
	Service string
	// TTL is how long a link counts.
	TTL time.Duration
	Log *slog.Logger

	asked chan asked
}

// asked is what somebody typed, and from where.
type asked struct{ name, source string }

// The bounds of that queue, and of the work for one who asks.
const (
	mostAsked = 1000
	askedTime = 10 * time.Second
)

// NewRecovery returns one that works while Run does.
func NewRecovery(r Recovery) *Recovery {
	r.asked = make(chan asked, mostAsked)
	return &r
}

// Ask takes what somebody typed, a name or a mail address, unless too many ask.
func (r *Recovery) Ask(name, source string) bool {
	select {
	case r.asked <- asked{name, source}:
		return true
	default:
		return false
	}
}

// Run answers those who ask until ctx ends.
func (r *Recovery) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-r.asked:
			if err := r.answer(ctx, a); err != nil {
				r.Log.WarnContext(ctx, "somebody who forgot a password was not answered; they have to ask again", "cause", err)
			}
		}
	}
}

// answer mails a link to each user who is meant and has an address.
func (r *Recovery) answer(ctx context.Context, a asked) error {
	ctx, cancel := context.WithTimeout(ctx, askedTime)
	defer cancel()
	users, err := r.meant(ctx, a.name)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Claims.Email == "" || u.PasswordHash == "" {
			continue // nothing to mail to; or one who never signs in by password
		}
		secret, _, err := r.Users.Grants.NewReset(ctx, storage.Reset{Subject: u.Subject, By: "server", Email: u.Claims.Email}, r.TTL, "by mail", a.source, r.knows(u, a.source))
		switch {
		case errors.Is(err, grants.ErrEnoughMails), errors.Is(err, grants.ErrNotFound):
			continue
		case err != nil:
			return err
		}
		r.Mail.Queue(r.linkMail(u, r.Users.resetURL(secret)))
	}
	return nil
}

// knows reports whether the user has signed in from there before.
func (r *Recovery) knows(u storage.User, source string) bool {
	addr, err := netip.ParseAddr(source)
	return err == nil && r.Users.Grants.Throttle != nil && r.Users.Grants.Throttle.Knows(u.Username, addr)
}

// meant are the users that somebody may mean.
func (r *Recovery) meant(ctx context.Context, name string) ([]storage.User, error) {
	name = strings.TrimSpace(name)
	if !strings.HasPrefix(name, SubjectPrefix) {
		switch user, err := r.Users.Find(ctx, name); {
		case err == nil:
			return []storage.User{user}, nil
		case !errors.Is(err, grants.ErrNotFound):
			return nil, err
		}
	}
	if !strings.Contains(name, "@") {
		return nil, nil
	}
	return r.Users.ByMail(ctx, name)
}

func (r *Recovery) linkMail(u storage.User, link string) mail.Message {
	return mail.Message{
		To: u.Claims.Email, Subject: "Set a new password for " + r.Service,
		Text: fmt.Sprintf(`Somebody, you most likely, has asked for a new password for the account
%s at %s. This link leads to where you set it:

%s

It works once, within %s.

If it was not you, do nothing: your password stays as it is.
`, u.Username, r.Service, link, inMinutes(r.TTL)),
	}
}

// Changed tells a user that the password is another one, if there is an address
// to tell it to.
func (r *Recovery) Changed(u storage.User) {
	if u.Claims.Email == "" {
		return
	}
	r.Mail.Queue(mail.Message{
		To: u.Claims.Email, Subject: "Your password for " + r.Service + " was changed",
		Text: fmt.Sprintf(`The password of the account %s at %s was changed.

If it was you, there is nothing to do. If it was not, ask for a new one at
%s
and look at where you are signed in.
`, u.Username, r.Service, r.Users.Grants.Settings.Issuer+"/forgot"),
	})
}

func inMinutes(d time.Duration) string {
	if n := int(d / time.Minute); n != 1 {
		return fmt.Sprintf("%d minutes", n)
	}
	return "a minute"
}
