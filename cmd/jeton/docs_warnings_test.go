package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Whatever the program logs as a warning or an error stands in the table that
// says what to do about it.
func TestDocsSayWhatToDoAboutEveryWarning(t *testing.T) {
	var rows []string
	for line := range strings.Lines(section(t, "Logs") + section(t, "What can go wrong")) {
		if cells := strings.Split(line, " | "); len(cells) >= 2 && strings.HasPrefix(line, "| `") {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
				rows = append(rows, strings.TrimSpace(strings.Split(m[1], "…")[0]))
			}
		}
	}
	messages := warnings(t)
	if len(messages) < 35 {
		t.Fatalf("found only %q", messages)
	}
	for _, message := range messages {
		found := false
		for _, row := range rows {
			found = found || len(row) > 20 && strings.HasPrefix(message, row)
		}
		if !found {
			t.Errorf("what to do about %q is not said", message)
		}
	}
}

// warnings are the messages of all calls that log a warning or an error.
func warnings(t *testing.T) (messages []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch base := filepath.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "bench" || base == "interop" || base == "examples" || base == "testdata" || base == "verify" || base == "node_modules"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !strings.HasPrefix(of.Sel.Name, "Warn") && !strings.HasPrefix(of.Sel.Name, "Error") || !isLogger(of.X) {
				return true
			}
			if at, logs := loggers[of.Sel.Name]; logs && at < len(call.Args) {
				if text := literal(call.Args[at]); text != "" {
					messages = append(messages, text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// literal is the beginning of a text that stands in the source, broken over
// lines or not.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	}
	return ""
}
