package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// request is one request of a form.
type request struct {
	method string // POST unless set
	url    string
	body   string
	client string
}

// act is something to ask for again and again.
type act struct {
	name string
	// workers is how many ask at once, as many as there are connections unless
	// set.
	workers int
	// signs says that an answer costs a signature, once that one round is
	// enough.
	signs, once bool
	// next makes the next request of a worker; false ends the worker.
	next func(worker int) (request, bool)
	// got looks at an answer of the worker's.
	got func(worker int, body []byte) error
}

// result is what a measurement brought.
type result struct {
	done  int
	took  time.Duration
	spent time.Duration
	times []time.Duration
	err   error
}

func (r result) rate() float64 { return float64(r.done) / r.took.Seconds() }

// cpu is the server's CPU time a request, in microseconds.
func (r result) cpu() float64 { return float64(r.spent.Microseconds()) / float64(max(r.done, 1)) }

// measure loads a server with an act for the set time. A request that fails
// ends it: the rates of a server that refuses mean nothing.
func measure(p processes, a act) (result, error) {
	load := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *concurrency, DisableCompression: true}, Timeout: time.Minute}
	defer load.CloseIdleConnections()
	workers := *concurrency
	if a.workers > 0 {
		workers = a.workers
	}
	results := make([]result, workers)
	before, begun := p.cpu(), time.Now()
	var wg sync.WaitGroup
	for worker := range results {
		wg.Go(func() { results[worker] = work(load, a, worker, begun.Add(*duration)) })
	}
	wg.Wait()
	total := result{took: time.Since(begun), spent: p.cpu() - before}
	for _, r := range results {
		if r.err != nil {
			return total, fmt.Errorf("%s: %w", a.name, r.err)
		}
		total.done += r.done
		total.times = append(total.times, r.times...)
	}
	slices.Sort(total.times)
	return total, nil
}

func work(load *http.Client, a act, worker int, until time.Time) (r result) {
	for time.Now().Before(until) {
		q, ok := a.next(worker)
		if !ok {
			return r
		}
		begun := time.Now()
		body, err := q.send(load)
		took := time.Since(begun)
		if err == nil && a.got != nil {
			err = a.got(worker, body)
		}
		if err != nil {
			r.err = err
			return r
		}
		r.done++
		r.times = append(r.times, took)
	}
	return r
}

func (q request) send(load *http.Client) ([]byte, error) {
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, q.url, strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if q.client != "" {
		r.SetBasicAuth(q.client, secret)
	}
	resp, err := load.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}
