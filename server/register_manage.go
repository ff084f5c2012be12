package server

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"jeton/accounts"
	"jeton/storage"
	"jeton/throttle"
)

// showRegistration, changeRegistration and endRegistration are what a client
// that registered itself can do at its own address (RFC 7592 §2).
func (s *Server) showRegistration(w http.ResponseWriter, r *http.Request) {
	s.manage(w, r, func(client storage.Client, token string) (any, error) {
		return s.clientInformation(client, "", token), nil
	})
}

func (s *Server) changeRegistration(w http.ResponseWriter, r *http.Request) {
	s.manage(w, r, func(client storage.Client, token string) (any, error) {
		m, err := readMetadata(w, r)
		if err != nil {
			return nil, err
		}
		turn, err := s.turnOf(r, client)
		if err != nil {
			return nil, err
		}
		client, secret, err := s.admin.Clients.Reregister(context.WithoutCancel(r.Context()), client.ID, token, m, s.registrantAct(r))
		turn(err == nil)
		if err != nil {
			return nil, err
		}
		return s.clientInformation(client, secret, token), nil
	})
}

func (s *Server) endRegistration(w http.ResponseWriter, r *http.Request) {
	s.manage(w, r, func(client storage.Client, _ string) (any, error) {
		if client.Registration.TakenOver { // others rely on it by now
			return nil, accounts.ErrTakenOver
		}
		act := s.registrantAct(r)
		act.By = "client:" + client.ID
		return nil, s.admin.Clients.Delete(context.WithoutCancel(r.Context()), client.ID, act)
	})
}

// manage lets in the client whose address this is, and answers with what do
// returns.
func (s *Server) manage(w http.ResponseWriter, r *http.Request, do func(storage.Client, string) (any, error)) {
	anyOrigin(w)
	var body any
	client, token, err := s.registrant(r)
	if err == nil {
		noteOf(r.Context()).clientID = client.ID
		body, err = do(client, token)
	}
	if err = registrationProblem(err); err != nil {
		s.count(r, "registration", outcomeOf(err))
		writeProblem(w, r, err)
		return
	}
	s.count(r, "registration", "ok")
	if body == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// registrant finds the client by its registration access token. Who guesses at
// one is slowed as at a client's secret.
func (s *Server) registrant(r *http.Request) (storage.Client, string, error) {
	token, err := registrationBearer(r, "this needs the registration access token of the client")
	if err != nil {
		return storage.Client{}, "", err
	}
	id, err := url.PathUnescape(mux.Vars(r)["client_id"])
	if err != nil {
		return storage.Client{}, "", accounts.ErrRegistrationToken
	}
	client, err := s.admin.Clients.Registrant(r.Context(), id, token)
	if s.grants.Throttle != nil && errors.Is(err, accounts.ErrRegistrationToken) {
		addr, _ := netip.ParseAddr(s.sourceOf(r).Address)
		ticket, slow := s.grants.Throttle.Try(throttle.Attempt{ClientID: id, Source: addr})
		if slow != nil {
			return client, "", slow
		}
		ticket.Failure()
	}
	if err == nil && client.Disabled {
		err = accounts.ErrTakenOver
	}
	return client, token, err
}

// anyOrigin lets pages of any origin read the answer: no cookie counts here, so
// a page can do what its visitor could do with curl, and clients that live in a
// browser register themselves from there.
func anyOrigin(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
}

// registerPreflight lets pages send JSON and a token.
func registerPreflight(methods string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

// seconds is a duration as Retry-After has it.
func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
