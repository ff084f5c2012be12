package storage

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fill gives a value other values, of each kind that records have. zero is how
// many of ten are left as they are.
func fill(rnd *rand.Rand, v reflect.Value, zero int) {
	if rnd.IntN(10) < zero {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+rnd.Int64N(1e8), rnd.Int64N(1e9)).UTC()))
		return
	case []byte:
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		v.SetBytes(b)
		return
	}
	switch v.Kind() {
	case reflect.String:
		words := []string{"app", "read write", "https://api.example/", "Élodie", "a<b>&\"\\", "\u2028\n", "\x00", "u-1"}
		v.SetString(words[rnd.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint64:
		v.SetUint(rnd.Uint64()>>rnd.IntN(64) | 1)
	case reflect.Int:
		v.SetInt(1 + rnd.Int64N(1<<30))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rnd, v.Elem(), zero)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(4), 4))
		for i := range v.Len() {
			fill(rnd, v.Index(i), zero)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rnd, v.Field(i), zero)
		}
	default:
		panic("the test does not know how to fill a " + v.Type().String())
	}
}

// TestTextIsThatOfEncodingJSON holds what is written and read by hand to
// encoding/json. A member that was added to a record and forgotten here shows
// itself.
func TestTextIsThatOfEncodingJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	fast := 0
	for i := range 3000 {
		var ses Session
		fill(rnd, reflect.ValueOf(&ses).Elem(), i%7)
		want, err := json.Marshal(ses)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(Encode(ses)); got != string(want) {
			t.Fatalf("a session is written as\n%s\nit should be\n%s", got, want)
		}
		fast += readsAlike[Session](t, want)

		var user User
		fill(rnd, reflect.ValueOf(&user).Elem(), i%7)
		text := Encode(user)
		readsAlike[User](t, text)
	}
	if fast == 0 {
		t.Error("no session was read without encoding/json")
	}
}

func readsAlike[T any](t *testing.T, text []byte) (fast int) {
	t.Helper()
	var mine, theirs, untouched T
	if !any(&mine).(textReader).readText(text) {
		if !reflect.DeepEqual(mine, untouched) {
			t.Fatalf("a text that was given up has left %+v", mine)
		}
		return 0
	}
	if err := json.Unmarshal(text, &theirs); err != nil || !reflect.DeepEqual(mine, theirs) {
		t.Fatalf("%s\nwas read as   %+v\nit should be  %+v, %v", text, mine, theirs, err)
	}
	return 1
}

// earlierSession is a record as it was written before this.
const earlierSession = `{"sid":"S7b0kMq0RQOoSnCwYk8Q5g","sub":"l6DFoYqsSEefIkJkNzT2Nw","client_id":"app","scope":"read write","aud":["https://issuer.example"],"amr":["pwd"],` +
	`"created":"2026-07-01T08:00:00.123456789Z","auth_time":"2026-07-01T08:00:00Z","end":"2026-09-29T08:00:00Z","client_epoch":1782892800000000,"generation":3,` +
	`"rot_id":"AAECAwQFBgcICQoLDA0ODw==","prev_rot_id":"Dw4NDAsKCQgHBgUEAwIBAA==","rotated":"2026-07-01T09:00:00.5Z",` +
	`"refresh":{"kid":"k1","iat":"2026-07-01T09:00:00Z","exp":"2026-07-16T09:00:00Z"},` +
	`"access":{"kid":"k2","jti":"AAECAwQFBgcICQoLDA0ODwAAAAEAAAAC","iat":"2026-07-01T09:00:00Z","exp":"2026-07-01T09:30:00Z","scope":"read","roles":["ROLE_USER"]},` +
	`"live":[{"jti":"AAECAwQFBgcICQoLDA0ODwAAAAEAAAAC","exp":"2026-07-01T09:30:00Z"}],"secret":"AQID","device":{"agent":"Firefox on Linux","network":"192.0.2.0/24"}}`

// Records of an earlier and of a later version are read, by whichever way.
func TestTextOfOtherVersions(t *testing.T) {
	const earlier = earlierSession
	later := strings.Replace(earlier, `"generation"`, `"new_member":{"a":[1,2]},"generation"`, 1)
	escaped := strings.Replace(earlier, `"app"`, `"\u0061pp"`, 1)
	spaced := strings.Replace(earlier, `,"sub"`, `, "sub"`, 1)
	var want Session
	if err := json.Unmarshal([]byte(earlier), &want); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"earlier": earlier, "later": later, "escaped": escaped, "spaced": spaced} {
		rec, err := Decode[Session](Row{Key: SessionKey("S"), Version: 1, Value: []byte(text)})
		if err != nil || !reflect.DeepEqual(rec.Value, want) {
			t.Errorf("%s: %+v, %v", name, rec.Value, err)
		}
		if fast := new(Session).readText([]byte(text)); fast != (name == "earlier") {
			t.Errorf("%s: read without encoding/json: %v", name, fast)
		}
	}
	if rec, err := Decode[Session](Row{Version: 1, Value: []byte(earlier[:len(earlier)-1])}); err == nil {
		t.Errorf("half a record was read as %+v", rec.Value)
	}
}

// FuzzReadText feeds what no version writes.
func FuzzReadText(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 20 {
		var ses Session
		var user User
		fill(rnd, reflect.ValueOf(&ses).Elem(), i%5)
		fill(rnd, reflect.ValueOf(&user).Elem(), i%5)
		f.Add(Encode(ses))
		f.Add(Encode(user))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		readsAlike[Session](t, text)
		readsAlike[User](t, text)
	})
}

func BenchmarkSessionText(b *testing.B) {
	var ses Session
	if !ses.readText([]byte(earlierSession)) {
		b.Fatal("the session is not read")
	}
	text := Encode(ses)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Encode(ses)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(ses); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(text, new(Session)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode[Session](Row{Version: 1, Value: text}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
