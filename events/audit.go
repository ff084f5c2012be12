package events

import (
	"context"
	"log/slog"
	"time"

	"jeton/storage"
)

// Audit writes one line per event: when, what, who, why, and what it is about.
// It speaks to the handler itself because a logger would keep a failed write
// secret, and an event that was not written has to come again.
func Audit(h slog.Handler) Subscriber {
	return func(ctx context.Context, e storage.Event) error {
		line := slog.NewRecord(e.Time, slog.LevelInfo, e.Type, 0)
		for _, a := range []struct{ name, value string }{
			{"event", e.ID},
			{"sub", e.Subject},
			{"client_id", e.ClientID},
			{"sid", e.Session},
			{"kept_sid", e.Kept},
			{"actor", e.Actor},
			{"reason", e.Reason},
			{"note", e.Note},
			{"source", e.Source},
			{"report", e.Report},
			{"occurred_at", occurred(e)},
		} {
			if a.value != "" {
				line.AddAttrs(slog.String(a.name, a.value))
			}
		}
		return h.Handle(ctx, line)
	}
}

func occurred(e storage.Event) string {
	if e.Occurred.IsZero() {
		return ""
	}
	return e.Occurred.UTC().Format(time.RFC3339)
}
