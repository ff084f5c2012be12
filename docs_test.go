package jeton_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every requirement of a module stands in docs/DEPENDENCIES.md with its
// version, and nothing stands there that is not required. A requirement marked
// indirect counts where a file of ours imports it.
func TestDocsNameEveryRequirement(t *testing.T) {
	doc := read(t, filepath.Join("docs", "DEPENDENCIES.md"))
	ours, interop, ok := strings.Cut(doc, "\n## In the module `interop`")
	if !ok {
		t.Fatal("there is no section about the module interop")
	}
	for _, c := range []struct{ dir, doc string }{{".", ours}, {"interop", interop}} {
		described := map[string]string{}
		for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (v[^ ]+) \\|").FindAllStringSubmatch(c.doc, -1) {
			described[m[1]] = m[2]
		}
		var imports []string
		for _, a := range importsOf(t, c.dir) {
			imports = append(imports, a.to)
		}
		for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)( // indirect)?$`).FindAllStringSubmatch(read(t, filepath.Join(c.dir, "go.mod")), -1) {
			if m[3] != "" && !imported(imports, m[1]) {
				continue
			}
			if described[m[1]] != m[2] {
				t.Errorf("%s: go.mod requires %s %s, docs/DEPENDENCIES.md has %q", c.dir, m[1], m[2], described[m[1]])
			}
			delete(described, m[1])
		}
		for module := range described {
			t.Errorf("%s: docs/DEPENDENCIES.md describes %s, which go.mod does not require", c.dir, module)
		}
	}
}

func imported(imports []string, module string) bool {
	for _, to := range imports {
		if to == module || strings.HasPrefix(to, module+"/") {
			return true
		}
	}
	return false
}

// A document that names a test names one that is there.
func TestDocsNameTestsThatAreThere(t *testing.T) {
	there := map[string]bool{}
	for _, names := range declaredTests(t) {
		for _, name := range names {
			there[name] = true
		}
	}
	docs, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, doc := range docs {
		for _, m := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+\b`).FindAllString(read(t, doc), -1) {
			if named++; !there[m] {
				t.Errorf("%s names %s, which is no test", doc, m)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d tests are named", named)
	}
}

// declaredTests lists tests and fuzz targets by the folder they are in.
func declaredTests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return filepath.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			dir := filepath.ToSlash(filepath.Dir(name))
			for _, m := range declared.FindAllStringSubmatch(read(t, name), -1) {
				found[dir] = append(found[dir], m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Links from one document to another lead somewhere, headings included.
func TestDocsLinksLead(t *testing.T) {
	docs, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, doc := range append(docs, "README.md", "CHANGELOG.md", filepath.Join("examples", "README.md")) {
		for _, m := range links.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := doc
			if name != "" {
				target = filepath.Join(filepath.Dir(doc), filepath.FromSlash(name))
			}
			if info, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", doc, m[1])
			} else if anchor != "" && !info.IsDir() && !anchors(read(t, target))[anchor] {
				t.Errorf("%s: %s leads to no heading", doc, m[1])
			}
		}
	}
}

// anchors are the names that headings have in a link.
func anchors(doc string) map[string]bool {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(doc, -1) {
		name := strings.ToLower(strings.ReplaceAll(m[1], " ", "-"))
		names[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, "")] = true
	}
	return names
}
