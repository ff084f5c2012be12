package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// gone is a connection whose other end has left: what is written to it reaches
// nobody, which shows when it is flushed.
type gone struct{ *httptest.ResponseRecorder }

func (gone) FlushError() error { return errors.New("connection reset by peer") }

func (n *node) refreshAndLeave(token string) {
	n.t.Helper()
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form("grant_type", "refresh_token", "refresh_token", token).Encode()))
	r.Header.Set("Content-Type", formType)
	app(r)
	n.handler.ServeHTTP(gone{httptest.NewRecorder()}, r)
}

// Strict single use, but a client that never got its answer is no thief
// (DESIGN promise 5).
func TestR11_LostResponse(t *testing.T) {
	n := start(t, options{})
	t.Run("within a minute", func(t *testing.T) {
		first := n.login()
		n.refreshAndLeave(first.str("refresh_token"))
		n.clock.Add(59 * time.Second)
		second := n.refresh(first.str("refresh_token"))
		second.want(t, 200, "")
		if gen := segment(t, second.str("refresh_token"), 1)["gen"]; gen != 2.0 {
			t.Errorf("generation %v: the lost rotation must be the one that is answered", gen)
		}
		third := n.refresh(second.str("refresh_token"))
		third.want(t, 200, "")
		// That one was delivered, so strict single use holds again.
		n.refresh(second.str("refresh_token")).want(t, 400, "invalid_grant")
		n.refresh(third.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("after a minute", func(t *testing.T) {
		first := n.login()
		n.refreshAndLeave(first.str("refresh_token"))
		n.clock.Add(time.Minute)
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("an answer that arrived", func(t *testing.T) {
		first := n.login()
		n.refresh(first.str("refresh_token")).want(t, http.StatusOK, "")
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
	})
}
