package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// section is the part of docs/OPERATING.md below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(operating(t), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("there is no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// firstCells are the words in backquotes of the first column of a section's
// tables.
func firstCells(section string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(section) {
		if cell, ok := strings.CutPrefix(line, "| "); ok {
			cell, _, _ = strings.Cut(cell, " | ")
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// metricNames are the metrics of the program's source.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`"(jeton_[a-z_]+)"`).FindAllStringSubmatch(programText(t), -1) {
		names[m[1]] = true
	}
	if len(names) < 15 {
		t.Fatalf("found only %v", names)
	}
	return names
}

func TestDocsNameEveryMetric(t *testing.T) {
	described := firstCells(section(t, "Health and metrics"))
	for name := range metricNames(t) {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described and is no metric", name)
	}
}

func TestDocsNameEveryExitCode(t *testing.T) {
	var codes, described []string
	for _, m := range regexp.MustCompile(`(?m)^\texit\w+ += (\d+)$`).FindAllStringSubmatch(read(t, "exit.go"), -1) {
		codes = append(codes, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| \S`).FindAllStringSubmatch(section(t, "Exit codes"), -1) {
		described = append(described, m[1])
	}
	if len(codes) < 6 || !slices.Equal(codes, described) {
		t.Errorf("the program exits with %q, described are %q", codes, described)
	}
}

// The members of log lines are described under Logs, and what is described
// there in a table is a member of some line.
func TestDocsNameEveryLogMember(t *testing.T) {
	doc := section(t, "Logs") + section(t, "Events")
	members := logMembers(t)
	if len(members) < 50 {
		t.Fatalf("found only %v", slices.Sorted(maps.Keys(members)))
	}
	for name, where := range members {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("%s, which %s logs, is not described", name, where)
		}
	}
	table, _, ok := strings.Cut(section(t, "Logs"), "\n| message |")
	if !ok {
		t.Fatal("there is no table of messages")
	}
	for name := range firstCells(table) {
		if members[name] == "" {
			t.Errorf("%s is described and nothing logs it", name)
		}
	}
}

// logMembers finds the members of all lines that the program logs, and where.
func logMembers(t *testing.T) map[string]string {
	t.Helper()
	// Of the configuration file's entries the member is the noun.
	members := map[string]string{"client": "ensure.go", "user": "ensure.go"}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch base := filepath.Base(name); {
		case err != nil:
			return err
		// verify writes to the log of an API, not of the server.
		case entry.IsDir() && (base == "bench" || base == "interop" || base == "examples" || base == "testdata" || base == "verify"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, member := range membersOf(n, filepath.Base(name)) {
				members[member] = name
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return members
}

// loggers are the calls that write a line, with the place of the message.
var loggers = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
}

// membersOf are the names of members that a node of the syntax adds to a line.
func membersOf(n ast.Node, file string) (names []string) {
	word := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if name, err := strconv.Unquote(lit.Value); err == nil {
				names = append(names, name)
			}
		}
	}
	switch n := n.(type) {
	case *ast.CompositeLit: // the audit log is a list of pairs
		if file == "audit.go" && n.Type == nil && len(n.Elts) == 2 {
			word(n.Elts[0])
		}
	case *ast.CallExpr:
		switch call := n.Fun.(type) {
		case *ast.Ident: // the line of a request
			if file == "requestlog.go" && (call.Name == "text" || call.Name == "number" || call.Name == "add") {
				word(n.Args[0])
			}
		case *ast.SelectorExpr:
			of, _ := call.X.(*ast.Ident)
			at, logs := loggers[call.Sel.Name]
			switch {
			case of != nil && of.Name == "slog" && len(n.Args) == 2 && call.Sel.Name != "New":
				word(n.Args[0])
			case logs && isLogger(call.X):
				for i := at + 1; i < len(n.Args); i += 2 {
					word(n.Args[i])
				}
			}
		}
	}
	return names
}

func isLogger(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "log")
	}
	return false
}
