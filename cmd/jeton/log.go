package main

import (
	"io"
	"log/slog"

	"jeton/server"
)

// logger writes the log as it was set, at least at the level floor. Commands
// that open the store by themselves tell only what is wrong; a server tells
// more, as --log-level says.
func (s *Settings) logger(w io.Writer, floor slog.Level) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel.word)); err != nil {
		level = slog.LevelInfo // never: the setting is one of slog's words
	}
	options := &slog.HandlerOptions{Level: max(level, floor)}
	if s.LogFormat.word == "json" {
		return slog.New(server.WithRequestID(slog.NewJSONHandler(w, options)))
	}
	return slog.New(server.WithRequestID(slog.NewTextHandler(w, options)))
}
