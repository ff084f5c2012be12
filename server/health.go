package server

import (
	"context"
	"net/http"
	"time"

	"jeton/storage"
)

// healthz says that the process runs. Restart it when this fails.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
}

// readyTimeout bounds how long readyz waits for the store.
const readyTimeout = 2 * time.Second

// Leave makes readyz say that no more requests should come, while those that do
// are served: load balancers turn away before the address is closed.
func (s *Server) Leave() { s.leaving.Store(true) }

// readyz says that tokens can be issued: the store answers and there is a key
// to sign with. Send no traffic while it fails.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if s.leaving.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{
			"error": "temporarily_unavailable", "error_description": "this server is ending",
		})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	before := s.grants.Now()
	seen, err := s.grants.Store.Read(ctx, storage.SystemPartition, storage.SystemKey)
	ahead := storage.Ahead(seen.Now, before, s.grants.Now())
	switch {
	case err != nil:
		writeProblem(w, r, err)
	case len(s.grants.Keys.KeySet().Algs) == 0:
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{
			"error": "temporarily_unavailable", "error_description": "there is no key to sign with",
		})
	default:
		ready := map[string]any{"status": "ready"}
		worth := s.grants.Store.Durability()
		if len(worth.Setup) > 0 {
			ready["store"] = worth.Setup
		}
		if len(worth.Weaknesses) > 0 {
			ready["store_may_lose"] = worth.Weaknesses
		}
		// No reason to go elsewhere: everything goes by the store's clock.
		if ahead.Abs() > storage.MostApart {
			ready["store_clock_ahead_seconds"] = ahead.Seconds()
		}
		if worth.ClocksApart > storage.MostApart {
			ready["store_clocks_apart_seconds"] = worth.ClocksApart.Seconds()
		}
		writeJSON(w, http.StatusOK, ready)
	}
}
