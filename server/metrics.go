package server

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jeton/events/lists"
	"jeton/grants"
	"jeton/passwords"
	"jeton/throttle"
)

// Metrics are the figures for Prometheus. Labels take values from registered
// clients and fixed sets only, so strangers cannot make more of them.
type Metrics struct {
	registry *prometheus.Registry
	acts     *prometheus.CounterVec
	requests *prometheus.HistogramVec
	panics   prometheus.Counter
}

func newMetrics(pw *passwords.Passwords, published *lists.Publisher) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_acts_total",
			Help: "What was done: act (a grant type, revoke, introspect, par, authorize, login, logout, userinfo), client_id, outcome (ok, retry, reuse, or an error code).",
		}, []string{"act", "client_id", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jeton_http_request_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "status"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jeton_panics_total", Help: "Requests that ended in a panic. Each is a defect: report it with the log.",
		}),
	}
	gauge := func(name, help string, value func(running, waiting int) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(pw.Load())) })
	}
	m.registry.MustRegister(m.acts, m.requests, m.panics,
		gauge("jeton_kdf_running", "Passwords that are being hashed now.", func(running, _ int) int { return running }),
		gauge("jeton_kdf_waiting", "Sign-ins that wait for their password to be hashed; after 2 s they get 503.", func(_, waiting int) int { return waiting }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "jeton_status_waiting", Help: "Requests that wait for a change of a status list."},
			func() float64 { return float64(published.Waiting()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry lets others add the figures of their parts.
func (s *Server) Registry() *prometheus.Registry { return s.metrics.registry }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) count(act, clientID, outcome string) {
	m.acts.WithLabelValues(act, clientID, outcome).Inc()
}

func (m *Metrics) request(route string, status int, d time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(d.Seconds())
}

// outcomeOf is what metrics call a refusal.
func outcomeOf(err error) string {
	if refused, ok := errors.AsType[*grants.Error](err); ok && refused.Outcome != "" {
		return refused.Outcome
	}
	if throttled, ok := errors.AsType[*throttle.Throttled](err); ok {
		return "throttled_" + throttled.Rule
	}
	return problemOf(err).code
}

// actLabel keeps what a stranger sent as a grant type out of the labels.
func actLabel(act string) string {
	if slices.Contains(grants.Types(), act) || act == "revoke" || act == "introspect" || act == "par" {
		return act
	}
	return "other"
}
