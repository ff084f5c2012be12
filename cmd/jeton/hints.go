package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// announce writes the line that says that requests are served. Scripts wait
// for it, so it is exactly this.
func announce(stderr io.Writer, url string) {
	fmt.Fprintf(stderr, "listening on %s\n", url)
}

// firstSteps tells what to type next where there is neither client nor user.
func (a *app) firstSteps(s *Settings) func(context.Context, *node) (func(string), error) {
	return func(ctx context.Context, n *node) (func(string), error) {
		none, err := hasNoAccounts(ctx, n.store)
		if err != nil || !none {
			return func(string) {}, err
		}
		command := self() + s.sameWay()
		return func(string) {
			dir, err := os.Getwd()
			if err != nil {
				dir = "this directory"
			}
			issuer := n.grants.Settings.Issuer
			fmt.Fprintf(a.stderr, `
There are no clients and no users yet. Type next, in another shell in %s:

  %s client add my-app --grant password,refresh_token --scope read,write
  printf %%s 'four words nobody guesses' | %s user add alice --role ROLE_USER --password-stdin

The first shows the secret of my-app once; curl asks for it when you log in:

  curl -u my-app -d grant_type=password -d username=alice --data-urlencode 'password=four words nobody guesses' %s/token

`, dir, command, command, issuer)
		}, nil
	}
}

// sameWay is the flags by which a command finds this server.
func (s *Settings) sameWay() string {
	var b strings.Builder
	for _, row := range table() {
		// A secret is in the environment or a file, where the command reads it.
		if from := s.origin[row.name]; row.everywhere && row.name != "json" && strings.HasPrefix(from, "--") {
			fmt.Fprintf(&b, " --%s %s", row.name, quote(row.shown(s)))
		}
	}
	return b.String()
}

// self is how to start this program again from a shell.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return "jeton"
	}
	if found, err := exec.LookPath("jeton"); err == nil {
		if a, b := storeIdentity(found), storeIdentity(exe); a == b {
			return "jeton"
		}
	}
	// go run builds into a directory that is gone with the process.
	if strings.Contains(exe, string(filepath.Separator)+"go-build") {
		if _, err := os.Stat("cmd/jeton/main.go"); err == nil {
			return "go run ./cmd/jeton"
		}
	}
	return quote(exe)
}

// there is what brings another shell to where [self] works: the source tree for
// go run, nowhere for a program.
func there() string {
	if dir, err := os.Getwd(); err == nil && strings.HasPrefix(self(), "go run") {
		return "cd " + quote(dir) + " && "
	}
	return ""
}

// quote makes a word that a shell takes as it is.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
