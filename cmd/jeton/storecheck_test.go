package main

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"jeton/keys"
	"jeton/storage"
)

// What is passed over elsewhere is named here.
func TestStoreCheckNamesWhatCannotBeRead(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, true)
	addFlags(flags, false)
	dir := t.TempDir()
	s, err := load(flags, []string{"JETON_STORE=sqlite:" + filepath.Join(dir, "jeton.db"), "JETON_SIGNING_ALG=ES256"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNode(t.Context(), s, "http://127.0.0.1:9096", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	way := &api{client: &http.Client{Transport: inProcess{n.admin()}}}
	if _, err := way.do(t.Context(), http.MethodPost, "/users", map[string]any{"username": "alice", "sub": "u-1", "password": "wonderland-wonderland"}); err != nil {
		t.Fatal(err)
	}
	if _, err = n.store.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u-1"), Puts: []storage.Put{
		{Key: storage.UserKey("u-1"), Value: []byte("{")}, {Key: storage.SessionKey("s-1"), Value: []byte("?")},
	}}); err != nil {
		t.Fatal(err)
	}
	n.close()
	master, err := keys.LoadMaster(filepath.Join(dir, "master.key"), "")
	if err != nil {
		t.Fatal(err)
	}
	check, err := examine(t.Context(), filepath.Join(dir, "jeton.db"), master)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{`the user "u-1"`, `the session "s-1"`} {
		if !strings.Contains(strings.Join(check.wrong, "\n"), what) {
			t.Errorf("%s is not named in %q", what, check.wrong)
		}
	}
	if check.fault() == nil {
		t.Error("the store counts as sound")
	}
}
