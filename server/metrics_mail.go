package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"jeton/mail"
)

// mailMetrics tells of mails when it is asked.
type mailMetrics struct {
	sender         *mail.Sender
	mails, waiting *prometheus.Desc
}

func newMailMetrics(s *mail.Sender) *mailMetrics {
	return &mailMetrics{
		sender:  s,
		mails:   prometheus.NewDesc("jeton_mails_total", "What became of mails to users: outcome (sent, retried, refused, failed, dropped).", []string{"outcome"}, nil),
		waiting: prometheus.NewDesc("jeton_mails_waiting", "Mails that wait for their first try or the next.", nil, nil),
	}
}

func (m *mailMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.mails
	out <- m.waiting
}

func (m *mailMetrics) Collect(out chan<- prometheus.Metric) {
	count, waiting := m.sender.Figures()
	for outcome, n := range count {
		out <- prometheus.MustNewConstMetric(m.mails, prometheus.CounterValue, float64(n), string(outcome))
	}
	out <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(waiting))
}
