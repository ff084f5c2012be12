package storage

import (
	"time"

	"jeton/fixedjson"
)

func (s *Session) readText(text []byte) bool {
	var read Session
	r := fixedjson.NewReader(text)
	read.readGrant(r)
	read.readRotation(r)
	if r.Next("ended") {
		read.Ended = new(Ended)
		r.Open()
		r.Member("at")
		read.Ended.At = r.Time()
		read.Ended.Reason = need(r, "reason")
		read.Ended.By, read.Ended.Note = maybe(r, "by"), maybe(r, "note")
		r.Close()
	}
	if !r.Done() {
		return false
	}
	*s = read
	return true
}

// readGrant reads what was granted, and until when.
func (s *Session) readGrant(r *fixedjson.Reader) {
	s.ID, s.Subject, s.ClientID, s.Scope = need(r, "sid"), need(r, "sub"), need(r, "client_id"), maybe(r, "scope")
	r.Member("aud")
	s.Audience = r.Strs()
	if r.Next("resource") {
		s.Resource = r.Strs()
	}
	if r.Next("amr") {
		s.AMR = r.Strs()
	}
	s.ACR, s.Browser = maybe(r, "acr"), maybe(r, "browser")
	s.Notify = r.Next("notify") && r.True()
	s.Created, s.AuthTime, s.End = timeOf(r, "created"), timeOf(r, "auth_time"), timeOf(r, "end")
	s.UserEpoch, s.ClientEpoch, s.SystemEpoch = count(r, "user_epoch"), count(r, "client_epoch"), count(r, "system_epoch")
	s.AccessEpoch = count(r, "access_epoch")
}

// readRotation reads what the last rotation has made.
func (s *Session) readRotation(r *fixedjson.Reader) {
	r.Member("generation")
	s.Generation = r.Uint()
	r.Member("rot_id")
	s.RotID = r.Bytes()
	if r.Next("prev_rot_id") {
		s.PrevRotID = r.Bytes()
	}
	s.Rotated = timeOf(r, "rotated")
	if r.Next("unconfirmed_until") {
		s.UnconfirmedUntil = r.Time()
	}
	r.Member("refresh")
	r.Open()
	s.Refresh = IssuedRefresh{KeyID: need(r, "kid"), Issued: timeOf(r, "iat"), Expires: timeOf(r, "exp"), AccessID: maybe(r, "at_jti")}
	if r.Next("at_exp") {
		s.Refresh.AccessExpires = r.Time()
	}
	r.Close()
	r.Member("access")
	r.Open()
	s.Access = IssuedAccess{
		KeyID: need(r, "kid"), ID: need(r, "jti"), Issued: timeOf(r, "iat"), Expires: timeOf(r, "exp"), Scope: maybe(r, "scope"),
	}
	if r.Next("roles") {
		s.Access.Roles = r.Strs()
	}
	s.Access.Thumbprint = maybe(r, "jkt")
	r.Close()
	s.Live = readLive(r)
	r.Member("secret")
	s.Secret = r.Bytes()
	r.Member("device")
	r.Open()
	s.Device = Device{Agent: maybe(r, "agent"), Network: maybe(r, "network")}
	r.Close()
	s.BoundAgent, s.BoundAddress = maybe(r, "bound_agent"), maybe(r, "bound_address")
	if r.Next("retry_streak") {
		s.RetryStreak = int(r.Int())
	}
	s.RetryGeneration, s.RetryTold = count(r, "retry_generation"), count(r, "retry_told")
	s.Thumbprint = maybe(r, "jkt")
}

func readLive(r *fixedjson.Reader) []LiveAccess {
	if !r.Next("live") {
		return nil
	}
	live := []LiveAccess{}
	for r.Text("["); !r.Bad(); r.Text(",") {
		r.Open()
		live = append(live, LiveAccess{ID: need(r, "jti"), Expires: timeOf(r, "exp"), ClientID: maybe(r, "client_id")})
		r.Close()
		if r.Last("]") {
			break
		}
	}
	return live
}

func (u *User) readText(text []byte) bool {
	r := fixedjson.NewReader(text)
	read := User{Subject: need(r, "sub"), Username: need(r, "username"), PasswordHash: maybe(r, "password_hash")}
	r.Member("roles")
	read.Roles = r.Strs()
	read.Disabled = r.Next("disabled") && r.True()
	read.Created, read.Updated = timeOf(r, "created"), timeOf(r, "updated")
	if r.Next("password_changed") {
		read.PasswordChanged = r.Time()
	}
	read.Epoch, read.AccessEpoch = count(r, "epoch"), count(r, "access_epoch")
	if !r.Done() {
		return false
	}
	*u = read
	return true
}

func need(r *fixedjson.Reader, name string) string {
	r.Member(name)
	return r.Str()
}

func maybe(r *fixedjson.Reader, name string) string {
	if r.Next(name) {
		return r.Str()
	}
	return ""
}

func timeOf(r *fixedjson.Reader, name string) time.Time {
	r.Member(name)
	return r.Time()
}

func count(r *fixedjson.Reader, name string) uint64 {
	if r.Next(name) {
		return r.Uint()
	}
	return 0
}
