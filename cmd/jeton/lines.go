package main

import (
	"bufio"
	"errors"
	"io"
)

// Bounds of what an import holds in memory.
const (
	mostLine       = 1 << 20
	mostBatch      = 4 << 20
	mostBatchLines = 4000
)

// lineReader reads batches of whole lines from a file of any length.
type lineReader struct {
	in   *bufio.Reader
	line int // how many were read
}

// lineBatch is some lines that follow each other. Those left out stand empty
// in the body, so that its lines keep their numbers.
type lineBatch struct {
	body    []byte
	first   int
	tooLong []int
}

func newLineReader(in io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, mostLine)}
}

// next returns a batch, and io.EOF with the last.
func (r *lineReader) next() (lineBatch, error) {
	b := lineBatch{first: r.line + 1}
	for r.line-b.first+1 < mostBatchLines && len(b.body) < mostBatch-mostLine {
		text, err := r.in.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			text, err = r.in.ReadSlice('\n')
		}
		if len(text) > 0 || long {
			r.line++
		}
		switch {
		case long:
			b.tooLong = append(b.tooLong, r.line)
			b.body = append(b.body, '\n')
		case len(text) > 0:
			b.body = append(b.body, text...)
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}
