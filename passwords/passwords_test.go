package passwords

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
)

func hash(t *testing.T, p *Passwords, password string) string {
	t.Helper()
	h, err := p.Hash(t.Context(), "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func verify(t *testing.T, p *Passwords, stored, password string) Result {
	t.Helper()
	r, err := p.Verify(t.Context(), stored, password)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestN7_HashIsArgon2idAsPHCString(t *testing.T) {
	p := newPasswords(t, nil)
	a, b := hash(t, p, "vexing quartets"), hash(t, p, "vexing quartets")
	// 22 characters of base64 are a salt of 128 bits.
	if !regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`).MatchString(a) {
		t.Errorf("hash %q", a)
	}
	if a == b {
		t.Error("two hashes of one password are equal: the salt is not random")
	}
	if r := verify(t, p, a, "vexing quartets"); !r.OK || r.Rehash {
		t.Errorf("right password: %+v", r)
	}
	if r := verify(t, p, a, "vexing quartetz"); r.OK || r.Rehash {
		t.Errorf("wrong password: %+v", r)
	}
}

func TestN2_EveryCharacterCounts(t *testing.T) {
	p := newPasswords(t, nil)
	password := varied(64)
	stored := hash(t, p, password)
	if !verify(t, p, stored, password).OK {
		t.Error("64 characters do not verify")
	}
	if verify(t, p, stored, password[:len(password)-len("ა")]+"x").OK {
		t.Error("another 64th character verifies")
	}
}

func TestN3_NormalisedAlikeOnSetAndVerify(t *testing.T) {
	p := newPasswords(t, nil)
	stored := hash(t, p, " Ve\u0301xing Quartet ")
	for password, want := range map[string]bool{
		" Ve\u0301xing Quartet ": true,
		" V\u00e9xing Quartet ":  true,
		"V\u00e9xing Quartet":    false, // not trimmed
		" v\u00e9xing quartet ":  false, // not folded
	} {
		if got := verify(t, p, stored, password).OK; got != want {
			t.Errorf("%q: %v, want %v", password, got, want)
		}
	}
	// NFKC would make these equal, NFC does not.
	if verify(t, p, hash(t, p, "vexing quartetﬁ"), "vexing quartetfi").OK {
		t.Error("a ligature equals its letters")
	}
}

func TestN7_RehashWhenSettingsChange(t *testing.T) {
	old := newPasswords(t, func(c *Config) { c.Memory, c.Passes = 7168, 5 })
	now := newPasswords(t, nil)
	stored := hash(t, old, "vexing quartets")
	if r := verify(t, now, stored, "vexing quartets"); !r.OK || !r.Rehash {
		t.Errorf("other parameters: %+v", r)
	}
	if r := verify(t, now, stored, "vexing quartetz"); r.OK || r.Rehash {
		t.Errorf("wrong password: %+v", r)
	}
	// A rehash asks no rules: the login has already succeeded (N5).
	h, err := now.Rehash(t.Context(), "short")
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, now, h, "short"); !r.OK || r.Rehash {
		t.Errorf("after the rehash: %+v", r)
	}
}

func TestN7_ImportedKinds(t *testing.T) {
	p := newPasswords(t, nil)
	for name, hasher := range map[string]func() (algorithm.Hash, error){
		"scrypt": func() (algorithm.Hash, error) { return scrypt.New(scrypt.WithLN(10)) },
		"pbkdf2-sha256": func() (algorithm.Hash, error) {
			return pbkdf2.New(pbkdf2.WithVariantName("sha256"), pbkdf2.WithIterations(100_000))
		},
		"argon2i": func() (algorithm.Hash, error) {
			return argon2.New(argon2.WithVariantI(), argon2.WithM(7168), argon2.WithT(5), argon2.WithP(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := hasher()
			if err != nil {
				t.Fatal(err)
			}
			digest, err := h.Hash("from elsewhere")
			if err != nil {
				t.Fatal(err)
			}
			if r := verify(t, p, digest.Encode(), "from elsewhere"); !r.OK || !r.Rehash {
				t.Errorf("%s: %+v", digest, r)
			}
			if r := verify(t, p, digest.Encode(), "from somewhere"); r.OK {
				t.Errorf("%s: a wrong password verifies", digest)
			}
		})
	}
	t.Run("bcrypt of another implementation", func(t *testing.T) {
		// Well-known test vectors of crypt_blowfish.
		for stored, password := range map[string]string{
			"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": "U*U",
			"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK": "U*U*",
		} {
			if r := verify(t, p, stored, password); !r.OK || !r.Rehash {
				t.Errorf("%s: %+v", stored, r)
			}
			if verify(t, p, stored, password+"*").OK {
				t.Errorf("%s: a wrong password verifies", stored)
			}
		}
	})
	t.Run("N2 bcrypt does not verify the first 72 bytes alone", func(t *testing.T) {
		// The same source: made of 72 bytes, and to it equal with any more.
		const stored = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"
		const front = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		if !verify(t, p, stored, front).OK {
			t.Error("72 bytes do not verify")
		}
		if verify(t, p, stored, front+"chars after 72 are ignored").OK {
			t.Error("more than 72 bytes verify")
		}
	})
}

func TestN7_HostileStoredHashes(t *testing.T) {
	const salt, key = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, stored := range []string{
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=9999999,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=65536,t=999,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=262144,t=64,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1,m=9999999$" + salt + "$" + key,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 1<<20),
		"$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$scrypt$ln=40,r=8,p=1$" + salt + "$" + key,
		"$scrypt$ln=21,r=8,p=1$" + salt + "$" + key,
		"$scrypt$ln=16,r=8,p=0$" + salt + "$" + key,
		"$scrypt$ln=0,r=8,p=1$" + salt + "$" + key,
		"$scrypt$ln=16,r=8,p=1$A$" + key,
		"$pbkdf2-sha512$9999999$" + salt + "$" + key,
		"$pbkdf2-sha512$2000000$" + salt + "$" + key + key,
		"$pbkdf2-sha512$0$" + salt + "$" + key,
		"$plaintext$vexing quartets", "$1$salt$hash", "$", "x", "vexing quartets", strings.Repeat("$", 1<<16),
	} {
		_, _, err := parse(stored)
		if !errors.Is(err, ErrStored) {
			t.Errorf("%.60q: %v, want ErrStored", stored, err)
		}
		if err != nil && len(stored) > 20 && strings.Contains(err.Error(), stored) {
			t.Errorf("%.60q: the error shows the hash", stored)
		}
	}
	r, err := newPasswords(t, nil).Verify(t.Context(), "$plaintext$vexing quartets", "vexing quartets")
	if r.OK || !errors.Is(err, ErrStored) {
		t.Errorf("Verify: %+v, %v, want ErrStored", r, err)
	}
}

// The stand-in for a user that does not exist costs what a wrong password
// costs, and both pass the gate.
func TestT23_P2_UnknownUserCostsTheSame(t *testing.T) {
	p := newPasswords(t, func(c *Config) { c.Memory, c.Passes = 12288, 3 })
	_, known, err := parse(hash(t, p, "vexing quartets"))
	if err != nil {
		t.Fatal(err)
	}
	if _, unknown, err := parse(p.unknown); err != nil || unknown != known {
		t.Errorf("unknown user: cost %+v, known user %+v (%v)", unknown, known, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"unknown user": p.VerifyUnknown(gone, "vexing quartets"),
		"no password":  second(p.Verify(gone, "", "vexing quartets")),
		"broken hash":  second(p.Verify(gone, "broken", "vexing quartets")),
		"known user":   second(p.Verify(gone, p.unknown, "vexing quartets")),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the gate's answer", name, err)
		}
	}
	for name, stored := range map[string]string{"no password": "", "stand-in": p.unknown} {
		if verify(t, p, stored, "vexing quartets").OK || verify(t, p, stored, "").OK {
			t.Errorf("%s: a password verifies", name)
		}
	}
	// What no password can be is false for everyone, without a hash.
	for _, stored := range []string{"", p.unknown} {
		if r, err := p.Verify(gone, stored, "\xff"); r.OK || err != nil {
			t.Errorf("invalid UTF-8: %+v, %v", r, err)
		}
	}
}

func second(_ Result, err error) error { return err }

func TestConfigReportsAllFaults(t *testing.T) {
	_, err := New(Config{Memory: 19456, Passes: 1, Lanes: 99, Concurrency: -1, QueueWait: -1, MinLength: 7})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"weaker than OWASP", "99 lanes", "-1 hashes at once", "a wait of", "least length of 7"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
	for _, c := range []Config{{Memory: 1 << 31, Passes: 1}, {Memory: 262144, Passes: 60}, {Memory: 7168, Passes: 1 << 30}, {Memory: 19456, Passes: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$scrypt$ln=16,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$pbkdf2-sha256$600000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		if _, _, err := parse(stored); err != nil && !errors.Is(err, ErrStored) {
			t.Errorf("%q: %v", stored, err)
		}
	})
}
