package main

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// buildMetric tells what a process was made from.
func buildMetric(b build) prometheus.Collector {
	made := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jeton_build_info", Help: "Always 1; its labels tell what this process was made from.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	made.Set(1)
	return made
}

// fileMetric tells the size of a SQLite store, whenever somebody asks.
type fileMetric struct{ path string }

var storeBytes = prometheus.NewDesc("jeton_store_bytes", "Size of the files of the store: the database and its write-ahead log.", []string{"file"}, nil)

// Describe tells what Collect will.
func (m fileMetric) Describe(to chan<- *prometheus.Desc) { to <- storeBytes }

// Collect looks at the files. One that is not there has no size.
func (m fileMetric) Collect(to chan<- prometheus.Metric) {
	for _, file := range []struct{ name, suffix string }{{"db", ""}, {"wal", "-wal"}} {
		size := int64(0)
		if info, err := os.Stat(m.path + file.suffix); err == nil {
			size = info.Size()
		}
		to <- prometheus.MustNewConstMetric(storeBytes, prometheus.GaugeValue, float64(size), file.name)
	}
}
