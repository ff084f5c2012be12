package main

import "fmt"

// goal is a ratio that the project has set itself.
type goal struct {
	text string
	want float64
	most bool // want is a ceiling
}

// printGoals holds what was measured to the goals, as far as it was measured.
func printGoals(done []table) {
	fmt.Println("\n| goal | measured | |")
	fmt.Println("| --- | ---: | --- |")
	rs, es, large := find(done, "RS256", false), find(done, "ES256", false), find(done, "ES256", true)
	if rs != nil {
		goal{"CPU of an RS256 refresh ÷ one raw signature, ≤ 1.15", 1.15, true}.print(median(rs.rawOf[actRefresh]))
	}
	if rs != nil && es != nil {
		goal{"ES256 refreshes ÷ RS256 refreshes, ≥ 5", 5, false}.print(es.rate(actRefresh) / rs.rate(actRefresh))
	}
	for _, t := range []*table{rs, es} {
		if t != nil {
			goal{"JWKS ÷ bare handler, " + t.alg + ", ≥ 0.9", 0.9, false}.print(median(t.bareOf[actJWKS]))
			goal{"introspect ÷ bare handler, " + t.alg + ", ≥ 0.5", 0.5, false}.print(median(t.bareOf[actIntrospect]))
			goal{"revoke ÷ bare handler, " + t.alg + ", ≥ 0.35", 0.35, false}.print(median(t.bareOf[actRevoke]))
			goal{"ready in ms, " + t.alg + ", < 100", 100, true}.print(float64(t.ready.Milliseconds()))
			goal{"resident MB idle, " + t.alg + ", < 40", 40, true}.print(float64(t.idle >> 20))
		}
	}
	if es == nil || large == nil {
		return
	}
	for _, name := range []string{actRefresh, actIntrospect, actRevoke, actClient} {
		if es.rate(name) > 0 {
			goal{fmt.Sprintf("%s with %s sessions ÷ with %s, ≥ 0.85", name, grouped(large.sessions), grouped(es.sessions)), 0.85, false}.print(
				median(large.bareOf[name]) / median(es.bareOf[name]))
		}
	}
}

func (g goal) print(got float64) {
	if got == 0 {
		return
	}
	met := "met"
	if g.most && got > g.want || !g.most && got < g.want {
		met = "missed"
	}
	fmt.Printf("| %s | %.2f | %s |\n", g.text, got, met)
}

// find is the table of an algorithm: the one with the fewest sessions, or the
// one with many more.
func find(done []table, alg string, large bool) (found *table) {
	for i, t := range done {
		switch {
		case t.alg != alg:
		case found == nil:
			found = &done[i]
		case large == (t.sessions > found.sessions):
			found = &done[i]
		}
	}
	if found != nil && large != (found.sessions >= 100_000) {
		return nil
	}
	return found
}
