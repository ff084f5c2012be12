package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMasterKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	made, err := CreateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v (%v), want 0600", info.Mode(), err)
	}
	loaded, err := LoadMaster(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.Open("p", made.Seal("p", []byte("x"), nil), nil); err != nil {
		t.Errorf("the key that was loaded does not open what the key that was made has sealed: %v", err)
	}
	before, _ := os.ReadFile(path)
	if _, err := CreateMaster(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key in the same place: %v, want ErrExist", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the key was overwritten")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files are left behind: %v", left)
	}
}

func TestMasterKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 16 {
		wg.Go(func() {
			_, err := CreateMaster(path)
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			} else if _, err := LoadMaster(path, ""); err != nil {
				t.Errorf("the file of another was seen half made: %v", err)
			}
		})
	}
	if wg.Wait(); made != 1 {
		t.Errorf("%d keys were made", made)
	}
}

func TestLoadMaster(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nonsense := file("hello")
	for _, tt := range []struct{ name, file, value, wrong string }{
		{"file", file(good), "", ""},
		{"file with newline", file(good + "\r\n"), "", ""},
		{"value", "", good, ""},
		{"neither", "", "", "(umask 077; openssl rand -base64 32 > FILE)"},
		{"both", file(good), good, "two master keys"},
		{"empty file", file(""), "", "base64 of 32 bytes"},
		{"short", file(good[:40]), "", "base64 of 32 bytes"},
		{"of 33 bytes", "", base64.StdEncoding.EncodeToString(make([]byte, 33)), "JETON_MASTER_KEY must be base64 of 32 bytes"},
		{"a file of nonsense", nonsense, "", "for a new store make the file with (umask 077; openssl rand -base64 32 > " + nonsense + ")"},
		{"no base64", "", strings.Repeat("!", 44), "JETON_MASTER_KEY"},
		{"absent", filepath.Join(t.TempDir(), "none"), "", "check master-key-file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadMaster(tt.file, tt.value)
			if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("got %v, want %q", err, tt.wrong)
			}
			if err != nil && tt.value != "" && strings.Contains(err.Error(), tt.value) {
				t.Error("the error shows the key")
			}
		})
	}
}

func TestSealBindsPurposeAndOwner(t *testing.T) {
	m := testMaster(t, 1)
	sealed := m.Seal("session", []byte("secret"), []byte("sid1"))
	if got, err := m.Open("session", sealed, []byte("sid1")); err != nil || string(got) != "secret" {
		t.Fatalf("got %q, %v", got, err)
	}
	if bytes.Equal(sealed, m.Seal("session", []byte("secret"), []byte("sid1"))) {
		t.Error("two seals of one text are equal")
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return m.Open("key", sealed, []byte("sid1")) },
		"another owner":   func() ([]byte, error) { return m.Open("session", sealed, []byte("sid2")) },
		"another master":  func() ([]byte, error) { return testMaster(t, 2).Open("session", sealed, []byte("sid1")) },
		"changed":         func() ([]byte, error) { return m.Open("session", flipped, []byte("sid1")) },
		"cut":             func() ([]byte, error) { return m.Open("session", sealed[:5], []byte("sid1")) },
		"empty":           func() ([]byte, error) { return m.Open("session", nil, []byte("sid1")) },
		"another version": func() ([]byte, error) { return m.Open("session", append([]byte{9}, sealed[1:]...), []byte("sid1")) },
	} {
		if got, err := open(); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestMasterKeyStaysOutOfLogs(t *testing.T) {
	m := testMaster(t, 'K')
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(verb, m); strings.Contains(s, "KK") || strings.Contains(s, "4b4b") || strings.Contains(s, "75, 75") || strings.Contains(s, "75 75") {
			t.Errorf("%s prints the key: %s", verb, s)
		}
	}
}

func BenchmarkOpenSealed(b *testing.B) {
	m := testMaster(b, 1)
	sealed := m.Seal("session", make([]byte, 32), []byte("sid"))
	for b.Loop() {
		if _, err := m.Open("session", sealed, []byte("sid")); err != nil {
			b.Fatal(err)
		}
	}
}
