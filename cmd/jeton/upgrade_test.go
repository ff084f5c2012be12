package main

import (
	"compress/gzip"
	"database/sql"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// older puts a store of the first schema into a directory: the client web and
// the user alice, made by the version that had it.
func older(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	data := filepath.Join(dir, "jeton-data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join("testdata", "schema-1", "jeton.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	db, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{
		filepath.Join(dir, name): db, filepath.Join(data, "master.key"): []byte(read(t, filepath.Join("testdata", "schema-1", "master.key"))),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// alice logs in at a server, and says whether that worked.
func alice(t *testing.T, s *running) bool {
	t.Helper()
	resp, err := insecure.PostForm(s.url+"/token", url.Values{
		"grant_type": {"password"}, "client_id": {"web"}, "username": {"alice"}, "password": {"plover umbra tin lighthouse"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// A server that starts on a store of an older schema copies it first and goes
// on with all that is in it. The copy, put in place again, is not taken for the
// store.
func TestUpgradeOnStart(t *testing.T) {
	dir := older(t, "jeton-data/jeton.db")
	s, err := start(dir, testVars())
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	if _, err := s.await(`the store was brought up to date; .* schema=2 was=1 copy=\S*jeton.db.schema-1-\d+T\d+Z`); err != nil {
		t.Error(err)
	}
	if !alice(t, s) {
		t.Error("alice cannot log in after the upgrade")
	}
	s.kill()
	copies, err := filepath.Glob(filepath.Join(dir, "jeton-data", "jeton.db.schema-1-*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("there are the copies %q: %v", copies, err)
	}
	for _, end := range []string{"-wal", "-shm"} { // they are the other file's
		os.Remove(filepath.Join(dir, "jeton-data", "jeton.db"+end))
	}
	if err := os.Rename(copies[0], filepath.Join(dir, "jeton-data", "jeton.db")); err != nil {
		t.Fatal(err)
	}
	if s, err := start(dir, testVars()); err == nil {
		s.kill()
		t.Error("the copy was taken for the store")
	}
}

// A backup of an older version is brought up to date where it is restored.
func TestRestoreOfAnOlderBackup(t *testing.T) {
	dir := older(t, "backup.db")
	before := read(t, filepath.Join(dir, "backup.db"))
	cmd := exec.Command("jeton", "store", "restore", "backup.db")
	cmd.Dir, cmd.Env = dir, testVars()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if read(t, filepath.Join(dir, "backup.db")) != before {
		t.Error("the backup was changed")
	}
	s, err := start(dir, testVars())
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	if !alice(t, s) {
		t.Error("alice cannot log in after the restore")
	}
}

// A user whose mail address stands in the record and in no index, as versions
// wrote it that had none, is found by it once a server that sends mail has started.
func TestUpgradeFindsUsersByMail(t *testing.T) {
	dir := older(t, "jeton-data/jeton.db")
	jeton := func(args ...string) {
		cmd := exec.Command("jeton", args...)
		cmd.Dir, cmd.Env = dir, testVars()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	jeton("user", "disable", "alice")
	jeton("user", "enable", "alice")
	db, err := sql.Open("sqlite", filepath.Join(dir, "jeton-data", "jeton.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := func() (n int) {
		if err := db.QueryRow("SELECT count(*) FROM entries WHERE name = 'mails' AND sort LIKE 'alice@example.com %'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	_, err = db.Exec(`UPDATE rows SET value = CAST(json_set(CAST(value AS TEXT), '$.claims', json('{"email":"Alice@example.com"}')) AS BLOB)
		WHERE kind = 'user' AND json_extract(CAST(value AS TEXT), '$.username') = 'alice'`)
	if err != nil || found() != 0 {
		t.Fatal(err, found())
	}
	s, err := start(dir, append(testVars(), "JETON_SMTP_HOST=127.0.0.1", "JETON_SMTP_TLS=off", "JETON_MAIL_FROM=login@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	if _, err := s.await(`users whose mail address an older version had set are found by it now.* users=1`); err != nil || found() != 1 || !alice(t, s) {
		t.Error(err, found())
	}
}
