package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jeton/events"
	"jeton/events/lists"
	"jeton/grants"
	"jeton/measure"
	"jeton/storage"
)

// state is what is looked up when somebody asks for the metrics: it stands
// elsewhere already, and costs nothing while nobody does.
type state struct {
	metrics *Metrics
	grants  *grants.Service
	lists   *lists.Publisher

	inFlight, kdfRunning, kdfWaiting, kdfWait, kdf, sign,
	store, storeFailures, storeSkipped, storeAhead, storeApart, keyAge, keyRotation,
	statusLists, statusAge, statusWaiting, outbox, outboxAge *prometheus.Desc
}

func stateOf(m *Metrics, g *grants.Service, published *lists.Publisher) *state {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &state{
		metrics: m, grants: g, lists: published,
		inFlight:      desc("jeton_http_in_flight", "Requests that are being served now."),
		kdfRunning:    desc("jeton_kdf_running", "Passwords that are being hashed now."),
		kdfWaiting:    desc("jeton_kdf_waiting", "Sign-ins that wait for their password to be hashed; after 2 s they get 503."),
		kdfWait:       desc("jeton_kdf_wait_seconds", "Time that sign-ins waited for their password to be hashed."),
		kdf:           desc("jeton_kdf_seconds", "Time that hashing a password took."),
		sign:          desc("jeton_sign_seconds", "Time to encode and sign a token, by the use of the key.", "use"),
		store:         desc("jeton_store_seconds", "Time that the store took, by operation.", "operation"),
		storeFailures: desc("jeton_store_failures_total", "Operations of the store that failed; conflict is another's change that came first, and no fault.", "operation", "kind"),
		storeSkipped:  desc("jeton_store_skipped_total", "How often a record was passed over because it cannot be read; jeton store check names it."),
		storeAhead:    desc("jeton_store_clock_ahead_seconds", "How far the store's clock is ahead of this machine's, at least."),
		storeApart:    desc("jeton_store_clocks_apart_seconds", "How far the clocks of the masters of a Redis Cluster are apart, at least."),
		keyAge:        desc("jeton_key_age_seconds", "How long the current key of a use has signed.", "use"),
		keyRotation:   desc("jeton_key_rotation_seconds", "Time until the current key of a use is replaced.", "use"),
		statusLists:   desc("jeton_status_lists", "Status lists in memory, because somebody asks for them."),
		statusAge:     desc("jeton_status_age_seconds", "Time since the store was last read for the status lists in memory."),
		statusWaiting: desc("jeton_status_waiting", "Requests that wait for a change of a status list."),
		outbox:        desc("jeton_outbox_events", "Events that wait to be published, counted up to 1000."),
		outboxAge:     desc("jeton_outbox_age_seconds", "How long the oldest of them has waited."),
	}
}

// Describe tells Prometheus nothing beforehand, which leaves the registry to
// check what is collected.
func (c *state) Describe(chan<- *prometheus.Desc) {}

// outboxTime bounds how long a scrape waits for the store.
const outboxTime = time.Second

// Collect looks everything up.
func (c *state) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	histogram := func(d *prometheus.Desc, h *measure.Histogram, labels ...string) {
		count, sum, upTo := h.Read()
		to <- prometheus.MustNewConstHistogram(d, count, sum, upTo, labels...)
	}
	running, waiting := c.grants.Passwords.Load()
	gauge(c.inFlight, float64(c.metrics.inFlight.Load()))
	gauge(c.kdfRunning, float64(running))
	gauge(c.kdfWaiting, float64(waiting))
	histogram(c.kdfWait, &c.grants.Passwords.Timings().Wait)
	histogram(c.kdf, &c.grants.Passwords.Timings().Hash)
	histogram(c.sign, &c.grants.Keys.Signing.Access, "sig")
	histogram(c.sign, &c.grants.Keys.Signing.Refresh, "refresh")
	histogram(c.sign, &c.grants.Keys.Signing.Status, "status")
	for _, age := range c.grants.Keys.Ages(c.grants.Now()) {
		gauge(c.keyAge, age.Signs.Seconds(), age.Use)
		if age.Rotates {
			gauge(c.keyRotation, age.Until.Seconds(), age.Use)
		}
	}
	held, age := c.lists.Held()
	gauge(c.statusLists, float64(held))
	gauge(c.statusAge, age.Seconds())
	gauge(c.statusWaiting, float64(c.lists.Waiting()))
	ctx, cancel := context.WithTimeout(context.Background(), outboxTime)
	defer cancel()
	before := c.grants.Now()
	if now, err := c.grants.Store.Now(ctx); err == nil {
		gauge(c.storeAhead, storage.Ahead(now, before, c.grants.Now()).Seconds())
	}
	gauge(c.storeApart, c.grants.Store.Durability().ClocksApart.Seconds())
	if events, oldest, err := events.Backlog(ctx, c.grants.Store); err == nil {
		gauge(c.outbox, float64(events))
		gauge(c.outboxAge, oldest.Seconds())
	}
	to <- prometheus.MustNewConstMetric(c.storeSkipped, prometheus.CounterValue, float64(c.grants.Store.Skipped()))
	// Last, so that it has counted what was asked here.
	for _, op := range []struct {
		name string
		of   *storage.Operation
	}{{"read", &c.grants.Store.Timings.Read}, {"list", &c.grants.Store.Timings.List}, {"commit", &c.grants.Store.Timings.Commit}} {
		histogram(c.store, &op.of.Took, op.name)
		for _, failed := range []struct {
			kind string
			n    uint64
		}{{"conflict", op.of.Conflict.Load()}, {"unavailable", op.of.Unavailable.Load()}, {"unknown", op.of.Unknown.Load()}} {
			to <- prometheus.MustNewConstMetric(c.storeFailures, prometheus.CounterValue, float64(failed.n), op.name, failed.kind)
		}
	}
}
