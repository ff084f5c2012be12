package passwords

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newPasswords(t testing.TB, change func(*Config)) *Passwords {
	t.Helper()
	c := Config{ServiceWords: []string{"login.wumbo-corp.example"}}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestN1_N3_N4_LengthAndCharacters(t *testing.T) {
	p := newPasswords(t, nil)
	for _, tt := range []struct{ name, password, want string }{
		{"N1 14 characters", "vexing quartet", "too short: 14 of at least 15 characters"},
		{"N1 15 characters", "vexing quartets", ""},
		{"N1 empty", "", "too short: 0 of at least 15 characters"},
		{"N3 length is counted in code points", strings.Repeat("é", 3) + "vexing quar", "too short: 14 of at least 15 characters"},
		{"N3 length is counted after NFC", strings.Repeat("e\u0301", 3) + "vexing quar", "too short: 14 of at least 15 characters"},
		{"N3 spaces at the ends count", " vexing quarte ", ""},
		{"N3 any script", "длинныйсекретик", ""},
		{"N3 emoji", "🦊🌧🥝🎻🪁🧂🛶🦔🍂🧵🪺🕰🥁🪞🧲", ""},
		{"N4 lower case letters alone", "vexingquartetsoup", ""},
		{"N4 marks alone", "~?;^}[=<'\"/)&{`", ""},
		{"N4 random hex", "4719203847a2f938", ""},
		{"N2 64 characters", strings.Repeat("vexing q", 8), ""},
		{"N2 the cap", varied(1024), ""},
		{"N2 above the cap", varied(1025), "too long: at most 1024 characters"},
		{"N2 far above the cap", strings.Repeat("x", 1<<20), "too long: at most 1024 characters"},
		{"invalid UTF-8", "vexing quartet \xff\xfe", "not valid UTF-8 text"},
		{"control character", "vexing\tquartets", "a control character, such as a tab or a line break, is in it"},
		{"NUL", "vexing quartets\x00", "a control character, such as a tab or a line break, is in it"},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, p.Check("alice", tt.password), tt.want) })
	}
}

// varied is a text of n characters without repeats near each other.
func varied(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune('ა' + (i*7+i/33)%33))
	}
	return b.String()
}

// expect compares with one reason, or none.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	var refused *RefusedError
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && !errors.As(err, &refused):
		t.Errorf("got %v, want %q", err, want)
	case want != "" && !strings.Contains(strings.Join(refused.Reasons, "\n"), want):
		t.Errorf("got %q, want %q", refused.Reasons, want)
	}
}

func TestN5_Blocklist(t *testing.T) {
	p := newPasswords(t, nil)
	const guess = "easy to guess"
	for _, tt := range []struct{ name, password, want string }{
		{"the password of the demo", "wonderland-wonderland", ""},
		{"passphrase of rare words", "gravel teapot umbrage", ""},
		{"passphrase with one common word", "gravel monkey umbrage", ""},
		{"random", "x7k2m9p4q8r3t6w", ""},
		{"long number", "83920174839201736482", ""},
		{"common word and digits", "password1234567", guess},
		{"common word twice", "passwordpassword", guess},
		{"swapped letters", "P@ssw0rd!P@55w0rd", guess},
		{"one for l", "we1comewe1come123", guess},
		{"common words", "monkey dragon sunshine", guess},
		{"famous passphrase", "correct horse battery staple", guess},
		{"season, year, mark", "Summer2026!Summer", guess},
		{"row of keys", "qwertyuiopasdfgh", guess},
		{"columns of keys", "1qaz2wsx3edc4rfv", guess},
		{"row backwards", "poiuytrewqlkjhgf", guess},
		{"shifted digits", "!@#$%^&*()!@#$%^&*", guess},
		{"alphabet", "abcdefghijklmnop", guess},
		{"alphabet backwards", "zyxwvutsrqponmlk", guess},
		{"one letter", "zzzzzzzzzzzzzzzz", guess},
		{"short unit repeated", "kxv9kxv9kxv9kxv9", guess},
		{"digits", "8392017483920173", guess},
		{"date and number", "1984-05-17 0301234", guess},
		{"name alone", "alicealicealice", guess},
		{"name and digits", "alice-alice-1987", guess},
		{"name and little else", "alice-zkw-alice-alice", "only 3 of at least 6 characters are its own"},
		{"name in capitals", "ALICE.ALICE.ALICE", guess},
		{"service", "wumbo-corp-login", guess},
		{"service and little else", "wumbo-corp-vzk-01", "only 5 of at least 6"},
		{"name within a passphrase", "alice sends gravel", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, p.Check("alice", tt.password), tt.want) })
	}
	t.Run("parts of an address as user name", func(t *testing.T) {
		expect(t, p.Check("zelkova@quixplorn.example", "zelkova.quixplorn"), guess)
		expect(t, p.Check("alice", "zelkova.quixplorn"), "")
	})
	t.Run("all reasons at once", func(t *testing.T) {
		var refused *RefusedError
		if err := p.Check("alice", "alice\t"); !errors.As(err, &refused) || len(refused.Reasons) != 3 {
			t.Errorf("got %v, want three reasons", err)
		}
	})
	t.Run("the reason does not repeat the password", func(t *testing.T) {
		if err := p.Check("alice", "monkey1"); strings.Contains(err.Error(), "monkey") {
			t.Error(err)
		}
	})
}

func TestN5_RefusedFile(t *testing.T) {
	hashed := sha1.Sum([]byte("Gravel-Teapot-Umbrage"))
	file := filepath.Join(t.TempDir(), "refused.txt")
	text := "Vexing Quartets\r\n\n" + strings.ToUpper(hex.EncodeToString(hashed[:])) + ":4711\ncafe\u0301 gravel teapot\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPasswords(t, func(c *Config) { c.RefusedFile = file })
	const known = "known to others"
	for _, tt := range []struct{ name, password, want string }{
		{"as in the file", "Vexing Quartets", known},
		{"in lower case", "vexing quartets", known},
		{"with capitals, given in small letters", "Café Gravel Teapot", known},
		{"by its SHA-1", "Gravel-Teapot-Umbrage", known},
		{"in another normal form", "café gravel teapot", known},
		{"not in the file", "vexing quartets!", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, p.Check("alice", tt.password), tt.want) })
	}
	for name, text := range map[string]string{
		"not text":     "good line here\n\xff\xfe\n",
		"endless line": strings.Repeat("x", 1<<20),
		"absent file":  "",
	} {
		t.Run(name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.txt")
			if text != "" {
				if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := New(Config{RefusedFile: bad}); err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("got %v, want an error that names the file", err)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("alice", "wonderland-wonderland")
	f.Add("", "p@ssw0rd\x00\xff")
	f.Add("@", "0123456789098765432101234567890aaaaaababababab")
	p, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, username, password string) {
		err := p.Check(username, password)
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
