package server

import (
	"net/http"

	"jeton/storage"
)

// announceSunset tells a client that uses the password grant when that ends for
// it (RFC 8594), and the operator who has not moved on yet.
func (s *Server) announceSunset(w http.ResponseWriter, client storage.Client) {
	if client.PasswordSunset.IsZero() {
		return
	}
	w.Header().Set("Sunset", client.PasswordSunset.UTC().Format(http.TimeFormat))
	s.metrics.sunsets.WithLabelValues(s.metrics.labelOf(client.ID)).Set(float64(client.PasswordSunset.Unix()))
}
