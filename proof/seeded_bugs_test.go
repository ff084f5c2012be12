package proof_test

// edit is a change of a source file of package grants, at the one place where
// old stands.
type edit struct{ file, old, new string }

// bug is what servers get wrong.
type bug struct {
	name  string
	edits []edit
}

// bugs are seeded into the source of package grants when it is built for
// TestSeededBugsAreCaught, and nowhere else. seeded reports whether the server
// has one of them.
var bugs = []bug{
	{"read, then write", []edit{
		{"refresh.go", `Checks:    []storage.Check{p.session`, `Checks: seededChecks(p, ses), // []storage.Check{p.session`},
	}},
	{"an equal record counts as success", []edit{
		{"session.go", `return bytes.Equal(now.RotID, ses.RotID) && now.Access.ID`, `return seeded("an equal record counts as success") || bytes.Equal(now.RotID, ses.RotID) && now.Access.ID`},
	}},
	{"a stale value is restored", []edit{
		{"refresh.go", `s.Store.WroteSession(version, ses)`, `s.Store.WroteSession(version, ses)
		seededRestore(s, p)`},
	}},
	{"reuse ends nothing", []edit{
		{"refresh.go", `var ended bool
	var err error
	if reason`, `var ended bool
	var err error
	if seeded("reuse ends nothing") {
		return badRefreshToken(errors.New("spent"))
	}
	if reason`},
	}},
	{"a retry makes a branch", []edit{
		{"refresh.go", `return s.authorizeRetry(ctx, p)`, `if seeded("a retry makes a branch") {
			return s.authorizeRotation(ctx, p)
		}
		return s.authorizeRetry(ctx, p)`},
	}},
	{"a revocation is answered before it is written", []edit{
		{"revoke.go", `return Revoked{c.Subject, c.SessionID}, end(ses.Value, e)`, `if seeded("a revocation is answered before it is written") {
		go func() {
			time.Sleep(500 * time.Millisecond)
			s.Logout(context.WithoutCancel(ctx), ses.Value, Ending{Reason: storage.ReasonRevoked})
		}()
		return Revoked{c.Subject, c.SessionID}, nil
	}
	return Revoked{c.Subject, c.SessionID}, end(ses.Value, e)`},
	}},
	{"introspection reads from a cache", []edit{
		{"introspect.go", `s.Store.SessionAndUser(ctx, c.Subject, c.SessionID)`, `seededRead(s, ctx, c.Subject, c.SessionID)`},
	}},
	{"roles are those of the login", []edit{
		{"session.go", `revoked := endAccess(`, `if seeded("roles are those of the login") && ses.Generation > 1 {
		ses.Access.Roles = was
	}
	revoked := endAccess(`},
		{"session.go", `issued := seconds(now)
	expires := earlier(issued.Add(lifetime(client.AccessTokenTTL`, `was := ses.Access.Roles
	issued := seconds(now)
	expires := earlier(issued.Add(lifetime(client.AccessTokenTTL`},
	}},
	{"sessions of a user end one after the other", []edit{
		{"session.go", `case ses.UserEpoch != user.Value.Epoch, `, `case ses.UserEpoch != user.Value.Epoch && !seeded("sessions of a user end one after the other") && !seeded("all sessions of a user end, and go on"), `},
		{"end.go", `if e.AccessOnly {
				ended, err`, `if seeded("sessions of a user end one after the other") {
				time.Sleep(200 * time.Millisecond)
			}
			if e.AccessOnly {
				ended, err`},
	}},
	{"a lost role is said until it expires", []edit{
		{"change.go", `*access++
		return *access`, `if !seeded("a lost role is said until it expires") {
			*access++
		}
		return *access`},
	}},
	{"all sessions of a user end, and go on", []edit{
		{"change.go", `if err != nil || task == nil {
		return u, 0, err
	}
	ended, err`, `if err != nil || task == nil || seeded("all sessions of a user end, and go on") {
		return u, 0, err
	}
	ended, err`},
	}},
}

// seededSource is a file of its own beside those of package grants. A bug of
// timing gets some time.
const seededSource = `package grants

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"jeton/storage"
)

func seeded(bug string) bool { return os.Getenv("SEEDED") == bug }

func seededChecks(p presented, ses storage.Session) []storage.Check {
	if seeded("read, then write") {
		time.Sleep(2 * time.Millisecond)
		return nil
	}
	return []storage.Check{p.session.Check(storage.SessionKey(ses.ID)), p.user.Check(storage.UserKey(ses.Subject))}
}

func seededRestore(s *Service, p presented) {
	if seeded("a stale value is restored") && rand.IntN(10) == 0 {
		ses := p.session.Value
		s.Store.Commit(context.Background(), storage.Change{
			Partition: storage.UserPartition(ses.Subject), Puts: []storage.Put{sessionPut(ses, nil)},
		})
	}
}

type seededAnswer struct {
	session storage.Record[storage.Session]
	user    storage.Record[storage.User]
	read    time.Time
}

var seededCache sync.Map

func seededRead(s *Service, ctx context.Context, sub, sid string) (storage.Record[storage.Session], storage.Record[storage.User], time.Time, error) {
	if !seeded("introspection reads from a cache") {
		return s.Store.SessionAndUser(ctx, sub, sid)
	}
	if a, ok := seededCache.Load(sid); ok && time.Since(a.(seededAnswer).read) < time.Second {
		return a.(seededAnswer).session, a.(seededAnswer).user, time.Now(), nil
	}
	session, user, now, err := s.Store.SessionAndUser(ctx, sub, sid)
	if err == nil {
		seededCache.Store(sid, seededAnswer{session, user, time.Now()})
	}
	return session, user, now, err
}
`
