package server

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jeton/clients/documents"
	"jeton/events/lists"
	"jeton/grants"
	"jeton/storage"
	"jeton/throttle"
)

// Metrics are the figures for Prometheus. Labels take values from registered
// clients and fixed sets only, so strangers cannot make more of them.
type Metrics struct {
	registry *prometheus.Registry
	acts     *prometheus.CounterVec
	requests *prometheus.HistogramVec
	reports  *prometheus.CounterVec
	sunsets  *prometheus.GaugeVec
	moved    *prometheus.CounterVec
	panics   prometheus.Counter

	formerSecrets *prometheus.CounterVec

	inFlight atomic.Int64

	named sync.Map // the client_ids that have a label of their own
	names atomic.Int32
}

// mostClients is how many clients have figures of their own; the others of a
// process share theirs, under otherClients.
const (
	mostClients  = 1000
	otherClients = "(others)"
	// documentClients stands for those whose id is the address of a document.
	documentClients = "(documents)"
)

func newMetrics(g *grants.Service, published *lists.Publisher) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_acts_total",
			Help: "What was done: act (a grant type, revoke, introspect, par, device_authorization, authorize, device, login, logout, end_own, disconnect, password_change, forgot, reset, userinfo, console, register, registration), client_id, outcome (ok, retry, reuse, or an error code).",
		}, []string{"act", "client_id", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jeton_http_request_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "status"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_reports_total",
			Help: "Events that applications told of: client_id, type (of the report, or global_revocation), outcome (ok, repeated, or an error code).",
		}, []string{"client_id", "type", "outcome"}),
		sunsets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jeton_password_grant_sunset_timestamp_seconds", Help: "When the password grant ends for a client that has asked for it since this process began.",
		}, []string{"client_id"}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_binding_mismatches_total",
			Help: "Refreshes from another browser or address than before: client_id, what (agent, address), action (observe, step_up, enforce, end).",
		}, []string{"client_id", "what", "action"}),
		formerSecrets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_former_client_secrets_total",
			Help: "Requests of a client that still shows the secret of before, while that works beside the new one.",
		}, []string{"client_id"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jeton_panics_total", Help: "Requests that ended in a panic. Each is a defect: report it with the log.",
		}),
	}
	m.registry.MustRegister(m.acts, m.reports, m.requests, m.sunsets, m.moved, m.formerSecrets, m.panics, stateOf(m, g, published),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry lets others add the figures of their parts.
func (s *Server) Registry() *prometheus.Registry { return s.metrics.registry }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// count notes what a request of a client came to, for metrics and log alike.
func (s *Server) count(r *http.Request, act, outcome string) {
	n := noteOf(r.Context())
	n.outcome = outcome
	id := ""
	if n.client != nil { // a stranger's client_id would make metrics without end
		id = s.metrics.label(*n.client)
	}

	s.metrics.acts.WithLabelValues(act, id, outcome).Inc()
}

// countMoved notes refreshes that came from elsewhere, answered or refused.
func (s *Server) countMoved(client storage.Client, resp grants.Response, err error) {
	moved := resp.Elsewhere
	if refused, ok := errors.AsType[*grants.Error](err); ok {
		moved = refused.Elsewhere
	}
	for _, m := range moved {
		s.metrics.moved.WithLabelValues(s.metrics.label(client), m.What, m.Action).Inc()
	}
}

// label is the client's in figures. Those that registered themselves with nobody
// to vouch for them share one: they could use up the names.
func (m *Metrics) label(c storage.Client) string {
	if c.Registration != nil && c.Registration.InitialToken == "" {
		return otherClients
	}
	return m.labelOf(c.ID)
}

// labelOf bounds what clients that come and go leave behind in memory.
func (m *Metrics) labelOf(clientID string) string {
	if documents.Describes(clientID) { // any user can let in as many as there are addresses
		return documentClients
	}
	if _, ok := m.named.Load(clientID); ok {
		return clientID
	}
	if m.names.Load() >= mostClients {
		return otherClients
	}
	if _, there := m.named.LoadOrStore(clientID, struct{}{}); !there {
		m.names.Add(1)
	}
	return clientID
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
	if slices.Contains(grants.Types(), act) || slices.Contains([]string{"revoke", "introspect", "par", "device_authorization"}, act) {
		return act
	}
	return "other"
}
