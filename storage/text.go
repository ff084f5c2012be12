package storage

import (
	"time"

	"jeton/fixedjson"
)

// The records that every refresh reads and writes are JSON like all others, and
// read and written without reflection. What readText does not know, members of
// a later version above all, is for encoding/json to read.

// textReader reads what Encode wrote. It reports false of any other text, and
// leaves the record alone.
type textReader interface{ readText(text []byte) bool }

func (s *Session) appendText(b []byte) []byte {
	b = fixedjson.AppendString(append(b, `{"sid":`...), s.ID)
	b = str(b, "sub", s.Subject)
	b = str(b, "client_id", s.ClientID)
	b = strUnlessEmpty(b, "scope", s.Scope)
	b = fixedjson.AppendStrings(fixedjson.AppendName(b, "aud"), s.Audience)
	if len(s.Resource) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "resource"), s.Resource)
	}
	if len(s.AMR) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "amr"), s.AMR)
	}
	b = strUnlessEmpty(b, "acr", s.ACR)
	b = strUnlessEmpty(b, "browser", s.Browser)
	if s.Notify {
		b = append(fixedjson.AppendName(b, "notify"), "true"...)
	}
	b = when(b, "created", s.Created)
	b = when(b, "auth_time", s.AuthTime)
	b = when(b, "end", s.End)
	b = uintUnlessZero(b, "user_epoch", s.UserEpoch)
	b = uintUnlessZero(b, "client_epoch", s.ClientEpoch)
	b = uintUnlessZero(b, "system_epoch", s.SystemEpoch)
	b = uintUnlessZero(b, "access_epoch", s.AccessEpoch)
	b = fixedjson.AppendUint(fixedjson.AppendName(b, "generation"), s.Generation)
	b = fixedjson.AppendBytes(fixedjson.AppendName(b, "rot_id"), s.RotID)
	if len(s.PrevRotID) > 0 {
		b = fixedjson.AppendBytes(fixedjson.AppendName(b, "prev_rot_id"), s.PrevRotID)
	}
	b = when(b, "rotated", s.Rotated)
	if !s.UnconfirmedUntil.IsZero() {
		b = when(b, "unconfirmed_until", s.UnconfirmedUntil)
	}
	b = s.Refresh.appendText(fixedjson.AppendName(b, "refresh"))
	b = s.Access.appendText(fixedjson.AppendName(b, "access"))
	b = appendLive(b, s.Live)
	b = fixedjson.AppendBytes(fixedjson.AppendName(b, "secret"), s.Secret)
	b = s.Device.appendText(fixedjson.AppendName(b, "device"))
	b = strUnlessEmpty(strUnlessEmpty(b, "bound_agent", s.BoundAgent), "bound_address", s.BoundAddress)
	if s.RetryStreak != 0 {
		b = fixedjson.AppendInt(fixedjson.AppendName(b, "retry_streak"), int64(s.RetryStreak))
	}
	b = uintUnlessZero(b, "retry_generation", s.RetryGeneration)
	b = uintUnlessZero(b, "retry_told", s.RetryTold)
	b = strUnlessEmpty(b, "jkt", s.Thumbprint)
	if s.Ended != nil {
		b = s.Ended.appendText(fixedjson.AppendName(b, "ended"))
	}
	return append(b, '}')
}

func (r IssuedRefresh) appendText(b []byte) []byte {
	b = fixedjson.AppendString(append(b, `{"kid":`...), r.KeyID)
	b = when(when(b, "iat", r.Issued), "exp", r.Expires)
	b = strUnlessEmpty(b, "at_jti", r.AccessID)
	if !r.AccessExpires.IsZero() {
		b = when(b, "at_exp", r.AccessExpires)
	}
	return append(b, '}')
}

func (a IssuedAccess) appendText(b []byte) []byte {
	b = fixedjson.AppendString(append(b, `{"kid":`...), a.KeyID)
	b = str(b, "jti", a.ID)
	b = when(when(b, "iat", a.Issued), "exp", a.Expires)
	b = strUnlessEmpty(b, "scope", a.Scope)
	if len(a.Roles) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "roles"), a.Roles)
	}
	return append(strUnlessEmpty(b, "jkt", a.Thumbprint), '}')
}

func appendLive(b []byte, live []LiveAccess) []byte {
	if len(live) == 0 {
		return b
	}
	b = append(fixedjson.AppendName(b, "live"), '[')
	for i, l := range live {
		if i > 0 {
			b = append(b, ',')
		}
		b = fixedjson.AppendString(append(b, `{"jti":`...), l.ID)
		b = append(strUnlessEmpty(when(b, "exp", l.Expires), "client_id", l.ClientID), '}')
	}
	return append(b, ']')
}

func (d Device) appendText(b []byte) []byte {
	return append(strUnlessEmpty(strUnlessEmpty(append(b, '{'), "agent", d.Agent), "network", d.Network), '}')
}

func (e *Ended) appendText(b []byte) []byte {
	b = fixedjson.AppendTime(append(b, `{"at":`...), e.At)
	b = str(b, "reason", e.Reason)
	return append(strUnlessEmpty(strUnlessEmpty(b, "by", e.By), "note", e.Note), '}')
}

func str(b []byte, name, s string) []byte {
	return fixedjson.AppendString(fixedjson.AppendName(b, name), s)
}

func strUnlessEmpty(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return str(b, name, s)
}

func uintUnlessZero(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return fixedjson.AppendUint(fixedjson.AppendName(b, name), n)
}

func when(b []byte, name string, t time.Time) []byte {
	return fixedjson.AppendTime(fixedjson.AppendName(b, name), t)
}
