package jeton_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rowsOfSections is how many rows the checklist has, by the letter of their
// ids: a row that is lost from docs/CONFORMANCE.md is seen.
var rowsOfSections = map[string]int{
	"T": 30, "P": 9, "R": 17, "V": 19, "I": 17, "J": 26, "D": 14, "B": 9, "A": 23, "X": 13,
	"K": 15, "C": 11, "O": 18, "L": 19, "S": 21, "W": 17, "N": 11, "U": 11, "F": 6,
}

var (
	rowLine  = regexp.MustCompile(`(?m)^\| ([A-Z]+)(\d+) \| (.*) \|$`)
	testName = regexp.MustCompile("`([a-z-/]+)\\.((?:Test|Fuzz)\\w+)`")
	rowID    = regexp.MustCompile(`^[A-Z]\d+$`)
)

// TestConformanceNamesWhatProvesIt holds docs/CONFORMANCE.md and the tests
// against each other: every row is there once, with a test that exists or with
// a reason, and every test that carries a row's id stands in that row.
func TestConformanceNamesWhatProvesIt(t *testing.T) {
	tests := declaredTests(t)
	proofs, count := map[string]string{}, map[string]int{}
	for _, m := range rowLine.FindAllStringSubmatch(read(t, "docs/CONFORMANCE.md"), -1) {
		id, proof := m[1]+m[2], m[3][strings.LastIndex(m[3], " | ")+3:]
		if _, twice := proofs[id]; twice {
			t.Errorf("%s stands there twice", id)
		}
		if strings.TrimSpace(proof) == "" {
			t.Errorf("%s has neither test nor reason", id)
		}
		proofs[id] = proof
		count[m[1]]++
		for _, name := range testName.FindAllStringSubmatch(proof, -1) {
			if !slices.Contains(tests[name[1]], name[2]) {
				t.Errorf("%s names %s.%s, which does not exist", id, name[1], name[2])
			}
		}
	}
	for section, want := range rowsOfSections {
		if count[section] != want {
			t.Errorf("%d rows %s, want %d", count[section], section, want)
		}
	}
	for pkg, names := range tests {
		for _, name := range names {
			for part := range strings.SplitSeq(strings.TrimPrefix(name, "Test"), "_") {
				proof, isRow := proofs[part]
				if rowID.MatchString(part) && isRow && !strings.Contains(proof, "`"+pkg+"."+name+"`") {
					t.Errorf("%s does not name %s.%s", part, pkg, name)
				}
			}
		}
	}
}
