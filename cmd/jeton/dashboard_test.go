package main

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
)

// exported are the metrics of a running server with the labels of each; names
// of histograms stand there as Prometheus stores them.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, true)
	addFlags(flags, false)
	s, err := load(flags, []string{"JETON_STORE=sqlite:" + filepath.Join(t.TempDir(), "jeton.db"), "JETON_SIGNING_ALG=ES256"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNode(t.Context(), s, "http://127.0.0.1:9096", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	srv, err := n.server(s)
	if err != nil {
		t.Fatal(err)
	}
	// Labels show once there is something to count.
	way := &api{client: &http.Client{Transport: inProcess{n.admin()}}}
	if _, err := way.do(t.Context(), http.MethodPost, "/clients", map[string]any{
		"client_id": "web", "public": true, "grant_types": []string{"password"}, "password_grant_sunset": "2099-01-01"}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=password&client_id=web&username=x&password=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	srv.Handler().ServeHTTP(httptest.NewRecorder(), r)
	return gathered(t, srv.Registry())
}

func gathered(t *testing.T, registry *prometheus.Registry) map[string][]string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, family := range families {
		var names []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			names = append(names, label.GetName())
		}
		if family.GetMetric()[0].GetHistogram() == nil {
			labels[family.GetName()] = names
			continue
		}
		labels[family.GetName()+"_count"], labels[family.GetName()+"_sum"] = names, names
		labels[family.GetName()+"_bucket"] = append(names[:len(names):len(names)], "le")
	}
	return labels
}

// What Prometheus adds to everything that it scrapes.
var scraped = []string{"job", "instance"}

// checkExpression reports names in a PromQL expression that no server exports,
// and returns the labels that its result has.
func checkExpression(t *testing.T, where, expr string, exported map[string][]string) (result []string) {
	t.Helper()
	known := slices.Clone(scraped)
	metrics := regexp.MustCompile(`\b(?:jeton|go|process)_[a-z_]+\b`).FindAllString(expr, -1)
	if len(metrics) == 0 {
		t.Errorf("%s: %s names no metric", where, expr)
	}
	for _, name := range metrics {
		labels, ok := exported[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		known = append(known, labels...)
	}
	var used []string
	for _, m := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(expr, -1) {
		for _, label := range regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`).FindAllStringSubmatch(m[1], -1) {
			used = append(used, label[1])
		}
	}
	for _, m := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			used, result = append(used, strings.TrimSpace(label)), append(result, strings.TrimSpace(label))
		}
	}
	for _, label := range used {
		if !slices.Contains(known, label) {
			t.Errorf("%s: %s: no such label in %q", where, label, expr)
		}
	}
	return result
}

// dashboard is what of Grafana's format has to hold for an import.
type dashboard struct {
	ID            *int   `json:"id"`
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct {
			RefID, Expr, LegendFormat string
			Datasource                struct{ Type, UID string }
		}
	}
}

func TestDashboardNamesMetricsThatExist(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, filepath.Join("..", "..", "docs", "grafana", "jeton.json"))), &d); err != nil {
		t.Fatal(err)
	}
	if d.ID != nil || d.UID == "" || d.Title == "" || d.SchemaVersion < 39 || len(d.Panels) < 20 {
		t.Errorf("Grafana 11 would not take it: %+v", d)
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	all := exported(t)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: its id %d is another's", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s stands on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s asks nothing, or a data source that others do not have", p.Title)
		}
		for _, target := range p.Targets {
			result := checkExpression(t, p.Title, target.Expr, all)
			for _, m := range regexp.MustCompile(`\$([a-z_]+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !variables[m[1]] {
					t.Errorf("%s: there is no variable $%s", p.Title, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(result, m[1]) {
					t.Errorf("%s: its legend shows %s, its answer has %q", p.Title, m[1], result)
				}
			}
		}
	}
}

func TestAlertsNameMetricsThatExist(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, filepath.Join("..", "..", "docs", "prometheus", "alerts.yaml"))), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	all, names := exported(t), map[string]bool{}
	for _, g := range file.Groups {
		for _, rule := range g.Rules {
			if names[rule.Alert] || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s is there twice, or lacks severity, summary or description", rule.Alert)
			}
			names[rule.Alert] = true
			result := checkExpression(t, rule.Alert, rule.Expr, all)
			for _, text := range rule.Annotations {
				for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
					if !slices.Contains(result, m[1]) {
						t.Errorf("%s tells %s, its answer has %q", rule.Alert, m[1], result)
					}
				}
			}
		}
	}
	if len(names) < 10 {
		t.Errorf("only %v", slices.Sorted(maps.Keys(names)))
	}
}

// The checks themselves are tried on what must not be.
func TestCheckExpressionFinds(t *testing.T) {
	all := map[string][]string{"jeton_x_bucket": {"use", "le"}}
	for _, expr := range []string{
		`rate(jeton_y[5m])`, `1 + 1`, `rate(jeton_x_bucket{color="red"}[5m])`, `sum by (color) (jeton_x_bucket)`, `jeton_x_bucket{use="a",color=~"b"}`,
	} {
		fake := &testing.T{}
		if checkExpression(fake, "here", expr, all); !fake.Failed() {
			t.Errorf("nothing is wrong with %s", expr)
		}
	}
	if got := checkExpression(t, "here", `sum by (le, use) (rate(jeton_x_bucket{job="a",use!="b"}[5m]))`, all); !slices.Equal(got, []string{"le", "use"}) {
		t.Errorf("labels %q", got)
	}
}
