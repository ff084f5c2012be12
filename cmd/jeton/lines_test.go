package main

import (
	"io"
	"strings"
	"testing"
)

// A file of any length is read in batches whose lines keep their numbers.
func TestLinesComeInBatches(t *testing.T) {
	text := strings.Repeat("{}\n", mostBatchLines+5) + strings.Repeat("x", 3*mostLine) + "\n" + "last"
	r := newLineReader(strings.NewReader(text))
	first, err := r.next()
	if err != nil || first.first != 1 || strings.Count(string(first.body), "\n") != mostBatchLines {
		t.Errorf("first batch: from %d, %d bytes, %v", first.first, len(first.body), err)
	}
	second, err := r.next()
	if err != io.EOF || second.first != mostBatchLines+1 || string(second.body) != strings.Repeat("{}\n", 5)+"\nlast" ||
		len(second.tooLong) != 1 || second.tooLong[0] != mostBatchLines+6 {
		t.Errorf("second batch: from %d, %d bytes, too long %v, %v", second.first, len(second.body), second.tooLong, err)
	}
	wide := newLineReader(strings.NewReader(strings.Repeat(strings.Repeat("y", mostLine/2)+"\n", 20)))
	for lines := 0; ; {
		b, err := wide.next()
		if lines += strings.Count(string(b.body), "\n"); len(b.body) > mostBatch {
			t.Errorf("a batch of %d bytes", len(b.body))
		}
		if err == io.EOF {
			if lines != 20 {
				t.Errorf("%d lines", lines)
			}
			return
		}
	}
}
