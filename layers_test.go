// Package jeton_test holds what is true of the module as a whole: which package
// may import which.
package jeton_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the packages from the bottom to the top. A package imports only
// from layers below its own, which is what lets each be read, tested and
// replaced without knowing who stands on it.
var layers = [][]string{
	{"pages"}, // HTML alone
	{"measure", "leaktest", "fixedjson", "mail/mailtest", "history"},
	{"mail", "proof"}, // proof uses the command, and none of the packages that it is made of
	{"storage", "storage/mark", "outbound", "traces"}, // the latter two know nothing of Jeton; calls to others go through outbound
	{"storage/sqlite", "storage/redis", "storage/redis/redistest", "storage/storagetest", "storage/copying", "keys"},
	{"storage/chosen"},
	{"events"},
	{"events/backchannel"},
	{"events/status"},
	{"events/lists", "events/webhooks"},
	{"clients", "passwords", "throttle", "dpop"},
	{"clients/documents"},
	{"grants", "well-known"},
	{"accounts"},
	{"race"},
	{"server"},
	{"cmd/jeton", "bench"}, // bench fills stores; all else it does from outside
}

// alone are packages that other programs import: they know nothing of the
// server, and it knows nothing of them. Only programs of the kind that they are
// for import them.
var alone = []string{"verify"}

var programs = []string{"proof", "bench", "examples/"}

// backends are imported where one is chosen, and by tests.
var backends = []string{"storage/sqlite", "storage/redis"}

// forTests are imported by tests alone.
var forTests = []string{"storage/storagetest", "storage/redis/redistest", "storage/chosen", "leaktest", "mail/mailtest"}

// library is fenced: only these files know it (docs/DIVERGENCES.md).
const library = "github.com/go-oauth2/oauth2"

var fence = []string{"server/library.go", "server/manager.go"}

// arrow is one import in one file, with paths relative to the module where
// they are of the module.
type arrow struct{ file, pkg, to string }

func TestImportsRunDownward(t *testing.T) {
	arrows := importsOf(t, ".")
	if len(arrows) == 0 {
		t.Fatal("no imports were found")
	}
	for _, a := range arrows {
		if fault := a.fault(); fault != "" {
			t.Errorf("%s imports %s: %s", a.file, a.to, fault)
		}
	}
}

// The rules themselves are tried on arrows that must not be.
func TestImportsThatTurn(t *testing.T) {
	for _, a := range []arrow{
		{"storage/store.go", "storage", "jeton/keys"},
		{"keys/ring.go", "keys", "jeton/events"},
		{"clients/clients.go", "clients", "jeton/grants"},
		{"throttle/try.go", "throttle", "jeton/passwords"},
		{"grants/refresh.go", "grants", "jeton/well-known"},
		{"grants/refresh_test.go", "grants", "jeton/server"},
		{"accounts/users.go", "accounts", "jeton/server"},
		{"server/server.go", "server", "jeton/storage/sqlite"},
		{"server/server.go", "server", "jeton/storage/storagetest"},
		{"server/server.go", "server", "jeton/storage/redis/redistest"},
		{"server/server.go", "server", "jeton/verify"},
		{"server/server.go", "server", "jeton/leaktest"},
		{"verify/verify.go", "verify", "jeton/keys"},
		{"verify/verify_test.go", "verify", "jeton/storage/sqlite"},
		{"examples/api/main.go", "examples/api", "jeton/keys"},
		{"proof/node_test.go", "proof", "jeton/storage"},
		{"grants/refresh.go", "grants", "jeton/verify"},
		{"server/server.go", "server", "jeton/util"},
		{"util/util.go", "util", "jeton/storage"},
		{"server/token.go", "server", library + "/v4/errors"},
		{"server/library_test.go", "server", library + "/v4"},
	} {
		if a.fault() == "" {
			t.Errorf("%s may import %s", a.file, a.to)
		}
	}
}

// fault says what is wrong with an arrow, or nothing.
func (a arrow) fault() string {
	test := strings.HasSuffix(a.file, "_test.go")
	to, ours := strings.CutPrefix(a.to, "jeton/")
	switch {
	case a.to == library || strings.HasPrefix(a.to, library+"/"):
		if !slices.Contains(fence, a.file) {
			return "only " + strings.Join(fence, " and ") + " may"
		}
		return ""
	case !ours || to == a.pkg: // a test of a package may import it
		return ""
	case slices.Contains(alone, to) && slices.ContainsFunc(programs, func(p string) bool { return strings.HasPrefix(a.pkg+"/", p) }):
		return ""
	case slices.Contains(alone, a.pkg) || slices.Contains(alone, to):
		return "it stands alone"
	case slices.Contains(backends, to):
		if a.pkg != "cmd/jeton" && a.pkg != "bench" && a.pkg != "storage/chosen" && !test {
			return "only cmd/jeton chooses a store"
		}
		return ""
	case slices.Contains(forTests, to):
		if !test {
			return "it is for tests"
		}
		return ""
	}
	from, below := layerOf(a.pkg), layerOf(to)
	switch {
	case from < 0:
		return a.pkg + " has no layer: give it one in layers_test.go"
	case below < 0:
		return to + " has no layer: give it one in layers_test.go"
	case below >= from:
		return "imports run downward, and it does not lie below"
	}
	return ""
}

func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, pkg) })
}

// importsOf reads the imports of all Go files of the module, also of those that
// this platform does not build.
func importsOf(t *testing.T, root string) []arrow {
	t.Helper()
	found := map[arrow]bool{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && !ofModule(name):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		for _, spec := range file.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[arrow{name, path.Dir(name), to}] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b arrow) int {
		return strings.Compare(a.file+" "+a.to, b.file+" "+b.to)
	})
}

// ofModule reports whether a folder holds packages of this module.
func ofModule(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err != nil // a module of its own
}
