package grants

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzClaims holds the claims' own JSON to that of encoding/json.
func FuzzClaims(f *testing.F) {
	f.Add("https://issuer.example", "user", "client", "read write", "ROLE_USER", "sid", "jti", int64(1780000000), uint64(7), uint8(255))
	f.Add("<&>\u2028", "\"\\", "\x00\xff", "é\n", "", "", "", int64(-1), uint64(1<<63), uint8(0))
	f.Fuzz(func(t *testing.T, iss, sub, client, scope, role, sid, jti string, at int64, gen uint64, has uint8) {
		when := jwt.NewNumericDate(time.Unix(at%(1<<35), 0))
		registered := jwt.RegisteredClaims{Subject: sub, ID: jti, IssuedAt: when, ExpiresAt: when}
		access := accessClaims{RegisteredClaims: registered, ClientID: client, Scope: scope, SessionID: sid}
		if has&1 != 0 {
			access.Roles, access.AMR, access.ACR = []string{role, sub}, []string{scope}, role
		}
		if has&2 != 0 {
			access.AuthTime, access.NotBefore = when, when
		}
		if has&4 != 0 {
			access.Status = new(tokenStatus)
			access.Status.List.Index, access.Status.List.URI = uint32(gen), iss
		}
		if has&8 != 0 {
			access.Issuer, access.Audience = iss, jwt.ClaimStrings{iss, client}
		}
		if has&32 != 0 {
			access.Actor = &Actor{client, &Actor{Subject: sub}}
		}
		if has&64 != 0 {
			access.Confirm = &confirmation{jti}
		}
		if has&16 != 0 {
			access.IssuedAt, access.ExpiresAt = nil, nil
		}
		text := access.AppendJSON(nil)
		same(t, access, text)
		parsesAlike[accessClaims](t, text)

		refresh := refreshClaims{RegisteredClaims: registered, ClientID: client, SessionID: sid, Generation: gen}
		text = refresh.AppendJSON(nil)
		same(t, refresh, text)
		parsesAlike[refreshClaims](t, text)
	})
}

func same(t *testing.T, claims any, got []byte) {
	t.Helper()
	want, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestClaimsAreReadWithoutReflection(t *testing.T) {
	at := jwt.NewNumericDate(time.Unix(1780000000, 0))
	want := refreshClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: newID(), ID: newID(), IssuedAt: at, ExpiresAt: at},
		ClientID:         "my client", SessionID: newID(), Generation: 12,
	}
	var got refreshClaims
	if text := want.AppendJSON(nil); !got.ParseJSON(text) || !reflect.DeepEqual(got, want) {
		t.Errorf("%s was read as %+v", text, got)
	}
	access := accessClaims{RegisteredClaims: want.RegisteredClaims, ClientID: "my client", SessionID: newID(), AuthTime: at, Roles: []string{"ROLE_USER"}, Scope: "read write"}
	access.Issuer, access.Audience, access.Status = "https://issuer.example", jwt.ClaimStrings{"api"}, new(tokenStatus)
	var read accessClaims
	if text := access.AppendJSON(nil); !read.ParseJSON(text) || !reflect.DeepEqual(read, access) {
		t.Errorf("%s was read as %+v", text, read)
	}
}

// FuzzParseClaims feeds what no signature would let through.
func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"i","sub":"u","aud":["a","b"],"exp":1,"iat":2,"jti":"j","client_id":"c","scope":"s","roles":["r"],"sid":"s","auth_time":3,"amr":["pwd"],"status":{"status_list":{"idx":7,"uri":"u"}}}`))
	f.Add([]byte(`{"sub":"u","exp":1,"iat":2,"jti":"j","client_id":"c","sid":"s","gen":3}`))
	f.Add([]byte(`{"sub":"u","exp":01,"iat":2,"jti":"j","client_id":"c","sid":"s","gen":}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsesAlike[accessClaims](t, text)
		parsesAlike[refreshClaims](t, text)
	})
}

// parsesAlike reads a text by hand, and if that succeeds by encoding/json too.
func parsesAlike[T any](t *testing.T, text []byte) {
	t.Helper()
	var mine, theirs, untouched T
	if !any(&mine).(interface{ ParseJSON([]byte) bool }).ParseJSON(text) {
		if !reflect.DeepEqual(mine, untouched) {
			t.Errorf("%q was given up and has left %+v", text, mine)
		}
		return
	}
	if err := json.Unmarshal(text, &theirs); err != nil || !reflect.DeepEqual(mine, theirs) {
		t.Errorf("%q\nread as      %+v\nit should be %+v, %v", text, mine, theirs, err)
	}
}
