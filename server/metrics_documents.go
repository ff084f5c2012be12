package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"jeton/clients/documents"
)

// documentMetrics tells of the documents of clients when it is asked.
type documentMetrics struct {
	reader *documents.Reader
	reads  *prometheus.Desc
}

func newDocumentMetrics(r *documents.Reader) *documentMetrics {
	return &documentMetrics{r, prometheus.NewDesc("jeton_client_documents_total",
		"Documents of clients that this process wanted to read, by outcome (ok, address, unreachable, status, type, size, content, blocked, throttled).", []string{"outcome"}, nil)}
}

func (m *documentMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.reads }

func (m *documentMetrics) Collect(out chan<- prometheus.Metric) {
	for outcome, n := range m.reader.Figures() {
		out <- prometheus.MustNewConstMetric(m.reads, prometheus.CounterValue, float64(n), outcome)
	}
}
