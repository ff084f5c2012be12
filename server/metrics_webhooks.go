package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jeton/events/webhooks"
)

// webhookMetrics tells of webhooks when it is asked.
type webhookMetrics struct {
	dispatcher                                    *webhooks.Dispatcher
	deliveries, pending, oldest, letters, dropped *prometheus.Desc
}

func newWebhookMetrics(d *webhooks.Dispatcher) *webhookMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"webhook"}, labels...), nil)
	}
	return &webhookMetrics{
		dispatcher: d,
		deliveries: desc("jeton_webhook_deliveries_total", "Attempts of this process to tell a webhook of an event, by outcome.", "outcome"),
		pending:    desc("jeton_webhook_pending", "Events that wait for a webhook, counted once a minute."),
		oldest:     desc("jeton_webhook_oldest_pending_seconds", "Age of the oldest event that waits, 0 for none, looked up once a minute."),
		letters:    desc("jeton_webhook_dead_letters", "Events that were given up, counted once a minute."),
		dropped:    desc("jeton_webhook_dropped_total", "Dead letters that this process dropped because they were too many or too old."),
	}
}

func (m *webhookMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.deliveries, m.pending, m.oldest, m.letters, m.dropped} {
		out <- d
	}
}

func (m *webhookMetrics) Collect(out chan<- prometheus.Metric) {
	for _, f := range m.dispatcher.Figures() {
		for outcome, n := range f.Deliveries {
			out <- prometheus.MustNewConstMetric(m.deliveries, prometheus.CounterValue, float64(n), f.Webhook, string(outcome))
		}
		age := 0.0
		if f.Pending > 0 {
			age = max(time.Since(f.Oldest).Seconds(), 0)
		}
		out <- prometheus.MustNewConstMetric(m.pending, prometheus.GaugeValue, float64(f.Pending), f.Webhook)
		out <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age, f.Webhook)
		out <- prometheus.MustNewConstMetric(m.letters, prometheus.GaugeValue, float64(f.Dead), f.Webhook)
		out <- prometheus.MustNewConstMetric(m.dropped, prometheus.CounterValue, float64(f.Dropped), f.Webhook)
	}
}
