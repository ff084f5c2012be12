package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nobody is some user that is not the one who tests.
const nobody = 65534

// What another user has put in the place of the socket, or of the store, is
// not spoken to and not written to.
func TestOthersAreNotTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can give a file to another user: run the tests as root")
		}
		t.Skip("NOT TESTED: only root can give a file to another user; run sudo -E go test ./cmd/jeton")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := probe(t.Context(), path); err != nil {
		t.Fatalf("the socket of the same user: %v", err)
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context(), path); err == nil || !strings.Contains(err.Error(), "made by another user (65534)") {
		t.Fatalf("the socket of another user: %v", err)
	}
	// Root administers a server that runs as a user of its own, in a directory
	// of that user.
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context(), path); err != nil {
		t.Fatalf("the socket of the owner of the directory: %v", err)
	}
	if err := ownDirectory(dir); err == nil || !strings.Contains(err.Error(), "belongs to another user (65534)") {
		t.Fatalf("the directory of another user: %v", err)
	}

	store := filepath.Join(t.TempDir(), "jeton.db")
	if err := os.WriteFile(store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ownStore(store, false); err != nil {
		t.Fatalf("a store of one's own: %v", err)
	}
	if err := os.Chown(store, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := ownStore(store, true); err == nil || !strings.Contains(err.Error(), "sudo -u") {
		t.Fatalf("the store of another user: %v", err)
	}
}

// A path that no socket can have is told so, where there is no way around it.
func TestSocketPath(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := socketAddress(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "--admin-socket") {
		t.Fatalf("a long name: %v", err)
	}
	if _, _, err := socketAddress(filepath.Join(dir, strings.Repeat("x", 120), "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a long directory that is not there: %v", err)
	}
}
