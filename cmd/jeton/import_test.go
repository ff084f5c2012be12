package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A long import says every 2 s how far it is, and how fast; in JSON it says
// nothing before its answer.
func TestAnImportTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		r := &importRun{noun: "user", file: "people.jsonl", stderr: &said, begun: time.Now()}
		for range 6 { // a batch a second
			time.Sleep(time.Second)
			r.Created += 9_000
			r.Existing += 1_000
			r.progress()
		}
		want := "users imported: 18000, there already: 2000, failed: 0 (10000 lines/s)\n" +
			"users imported: 36000, there already: 4000, failed: 0 (10000 lines/s)\n" +
			"users imported: 54000, there already: 6000, failed: 0 (10000 lines/s)\n"
		if said.String() != want {
			t.Errorf("it said\n%swant\n%s", said.String(), want)
		}
		said.Reset()
		r.quiet = true
		time.Sleep(time.Minute)
		if r.progress(); said.Len() > 0 {
			t.Errorf("in JSON it said %s", said.String())
		}
	})
}
