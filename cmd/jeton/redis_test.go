package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// Whoever starts a server while Redis is away reads so at once, and not at each
// try; a command tells it in its answer alone.
func TestTheStartTellsThatItWaitsForRedis(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags, true)
	if err := flags.Parse([]string{"--store", "redis://jeton:hunter2@127.0.0.1:1/0"}); err != nil {
		t.Fatal(err)
	}
	s, err := load(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.tellWaiting(slog.New(slog.NewTextHandler(&said, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tell := s.waiting
	s.waiting = func(cause error) {
		tell(cause)
		time.AfterFunc(250*time.Millisecond, cancel) // some tries later
	}
	if _, err := s.begun(ctx); err != nil {
		t.Fatal(err) // whoever opens it for good says why
	}
	if n := strings.Count(said.String(), `level=WARN msg="Redis does not answer: the start tries on`); n != 1 ||
		!strings.Contains(said.String(), "127.0.0.1:1") || !strings.Contains(said.String(), "cause=") || strings.Contains(said.String(), "hunter2") {
		t.Errorf("%d lines: %s", n, said.String())
	}
}
