package main

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // a foreign program, which opens the file by itself

	"jeton/leaktest"
)

// watch looks at what the servers of all scripts log, for the secrets that the
// scripts hold and for the tokens that were issued to them.
var watch leaktest.Watch

// watched looks once all tests are over.
type watched struct{ m *testing.M }

func (w watched) Run() int { return leaktest.Run(w.m, &watch) }

func TestMain(m *testing.M) {
	testscript.Main(watched{m}, map[string]func(){"jeton": main})
}

// The scripts show each command as it is typed. Those in admin run twice, with
// a server on the store and without: it has to make no difference.

func TestAdminWithoutServer(t *testing.T) { runScripts(t, "admin", false) }
func TestAdminWithServer(t *testing.T)    { runScripts(t, "admin", true) }
func TestServe(t *testing.T)              { runScripts(t, "serve", false) }
func TestConfig(t *testing.T)             { runScripts(t, "config", false) }

// TestDemo runs what serve --demo prints.
func TestDemo(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the lines that serve --demo prints were not tried: install curl")
		}
		t.Skip("NOT TESTED: the lines that serve --demo prints need curl")
	}
	runScripts(t, "demo", false)
}

// envKey and serversKey find the values of a script.
type (
	envKey     struct{}
	serversKey struct{}
)

func runScripts(t *testing.T, dir string, served bool) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script", dir),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// RSA keys take a second to make, and nothing here depends on the
			// algorithm. Nor does anything on the hash: of the OWASP table this
			// row needs the least memory, which the race detector makes dear.
			if dir != "config" {
				env.Vars = append(env.Vars, "JETON_KDF_MEMORY=7168", "JETON_KDF_TIME=5")
			}
			// A process under the race detector sleeps for a second at its end
			// unless it is told not to.
			env.Vars = append(env.Vars, "JETON_SIGNING_ALG=ES256", "GORACE=atexit_sleep_ms=0",
				"LONG="+filepath.Join(env.WorkDir, strings.Repeat("a-rather-long-name-", 6)))
			all := map[string]*running{}
			env.Values[envKey{}], env.Values[serversKey{}] = env, all
			env.Defer(func() {
				for _, s := range all {
					s.kill()
					for _, name := range []string{s.log, s.out} {
						if b, err := os.ReadFile(name); err == nil && !demonstrates(string(b)) {
							watch.Wrote("log of a server", b)
						}
					}
				}
			})
			if !served {
				return nil
			}
			var err error
			all["server"], err = start(env.WorkDir, env.Vars)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"serve": serveCmd, "finish": finishCmd, "die": dieCmd, "hangup": hangupCmd, "logs": logsCmd,
			"post": postCmd, "get": getCmd, "receiver": receiverCmd, "deadletters": deadLettersCmd,
			"await": awaitCmd, "dial": dialCmd, "pair": pairCmd, "metrics": metricsCmd,
			"printed": printedCmd, "demostore": demoStoreCmd, "newer": newerCmd,
		},
	})
}

// demonstrates reports whether a text is what serve --demo prints to be typed:
// its passwords are there on purpose.
func demonstrates(text string) bool { return strings.Contains(text, "demo-secret") }

// newer FILE makes a store of a version that there is not yet.
func newerCmd(ts *testscript.TestScript, neg bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec("PRAGMA user_version = 9999")
	ts.Check(err)
}

// exits CODE command... runs a command that has to end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits CODE command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
