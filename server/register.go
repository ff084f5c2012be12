package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"jeton/accounts"
	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
	"jeton/throttle"
)

// registerPath is the registration endpoint (RFC 7591 §3); below it each client
// has an address of its own (RFC 7592 §2).
const registerPath = "/register"

// clientInformation is the answer of RFC 7591 §3.2.1 and RFC 7592 §3: all that
// is registered, with the defaults in it. The secrets are there only in the
// answer to the act that made them.
type clientInformation struct {
	ID            string `json:"client_id"`
	Issued        int64  `json:"client_id_issued_at"`
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	AccessToken   string `json:"registration_access_token"`
	URI           string `json:"registration_client_uri"`

	RedirectURIs  []string `json:"redirect_uris,omitempty"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Grants        []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	Scope         string   `json:"scope"`

	Name            string          `json:"client_name,omitempty"`
	ClientURI       string          `json:"client_uri,omitempty"`
	LogoURI         string          `json:"logo_uri,omitempty"`
	TermsURI        string          `json:"tos_uri,omitempty"`
	PolicyURI       string          `json:"policy_uri,omitempty"`
	Contacts        []string        `json:"contacts,omitempty"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
	SoftwareID      string          `json:"software_id,omitempty"`
	SoftwareVersion string          `json:"software_version,omitempty"`
	ApplicationType string          `json:"application_type,omitempty"`
	PostLogoutURIs  []string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelURI  string          `json:"backchannel_logout_uri,omitempty"`
	RequirePush     bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound       bool            `json:"dpop_bound_access_tokens,omitempty"`
}

func (s *Server) clientInformation(c storage.Client, secret, accessToken string) clientInformation {
	info := clientInformation{
		ID: c.ID, Issued: c.Created.Unix(), Secret: secret, AccessToken: accessToken, URI: s.cfg.Issuer + registerPath + "/" + url.PathEscape(c.ID),
		RedirectURIs: c.RedirectURIs, AuthMethod: clients.AuthMethod(c), Grants: list(c.Grants), ResponseTypes: clients.ResponseTypes(c), Scope: strings.Join(c.Scopes, " "),
		Name: c.Name, ClientURI: c.ClientURI, LogoURI: c.LogoURI, TermsURI: c.TermsURI, PolicyURI: c.PolicyURI, Contacts: c.Contacts,
		JWKS: json.RawMessage(c.JWKS), JWKSURI: c.JWKSURI, SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion, ApplicationType: c.ApplicationType,
		PostLogoutURIs: c.PostLogoutURIs, BackchannelURI: c.BackchannelLogoutURI, RequirePush: c.RequirePush, DPoPBound: c.DPoPBound,
	}
	if secret != "" {
		info.SecretExpires = new(int64) // 0: never
	}
	return info
}

// register is POST /register.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	anyOrigin(w)
	made, err := s.registered(w, r)
	if err != nil {
		s.count(r, "register", outcomeOf(err))
		writeProblem(w, r, err)
		return
	}
	noteOf(r.Context()).clientID = made.Client.ID
	s.count(r, "register", "ok")
	writeJSON(w, http.StatusCreated, s.clientInformation(made.Client, made.Secret, made.AccessToken))
}

func (s *Server) registered(w http.ResponseWriter, r *http.Request) (accounts.Registered, error) {
	initial := ""
	if r.Header.Get("Authorization") != "" || s.grants.Settings.Registration.Mode != grants.RegistrationOpen || tokenInQuery(r.URL.RawQuery) {
		token, err := registrationBearer(r, "this needs an initial access token: ask whoever runs this server for one")
		if err != nil {
			return accounts.Registered{}, err
		}
		initial = token
	}
	m, err := readMetadata(w, r)
	if err != nil {
		return accounts.Registered{}, err
	}
	if initial != "" {
		return s.registerVouched(r, m, initial)
	}
	turn, err := s.registrationTurn(r)
	if err != nil {
		return accounts.Registered{}, err
	}
	made, err := s.admin.Clients.Register(context.WithoutCancel(r.Context()), m, "", s.registrantAct(r))
	turn(err == nil)
	return made, registrationProblem(err)
}

// registerVouched registers a client with an initial access token. That has a
// limit of its own, so that only wrong ones are counted: a right one is never
// held up, and to guess one does not pay.
func (s *Server) registerVouched(r *http.Request, m clients.Metadata, initial string) (accounts.Registered, error) {
	made, err := s.admin.Clients.Register(context.WithoutCancel(r.Context()), m, initial, s.registrantAct(r))
	if errors.Is(err, accounts.ErrInitialToken) {
		turn, slow := s.registrationTurn(r)
		if slow != nil {
			return made, slow
		}
		turn(true)
	}
	return made, registrationProblem(err)
}

// registrationTurn holds up who has registered too many clients from one address.
// What it returns has to be told whether this one counts.
func (s *Server) registrationTurn(r *http.Request) (func(counts bool), error) {
	if s.grants.Throttle == nil {
		return func(bool) {}, nil
	}
	addr, _ := netip.ParseAddr(s.sourceOf(r).Address)
	ticket, err := s.grants.Throttle.Try(throttle.Attempt{Registers: true, Source: addr})
	if err != nil {
		return nil, err
	}
	return func(counts bool) {
		if counts {
			ticket.Failure()
		} else {
			ticket.Cancel()
		}
	}, nil
}

// turnOf is registrationTurn for a change of a client that nobody vouched for:
// each is an event, and strangers must not make many of them.
func (s *Server) turnOf(r *http.Request, client storage.Client) (func(counts bool), error) {
	if client.Registration.InitialToken != "" {
		return func(bool) {}, nil
	}
	return s.registrationTurn(r)
}

func (s *Server) registrantAct(r *http.Request) accounts.Act {
	return accounts.Act{Source: s.sourceOf(r).Address}
}

// readMetadata reads the body of a registration.
func readMetadata(w http.ResponseWriter, r *http.Request) (clients.Metadata, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !(params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
		return clients.Metadata{}, refusal{problem{status: http.StatusBadRequest, code: clients.InvalidClientMetadata, description: "the Content-Type must be application/json"}}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostFormBytes))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return clients.Metadata{}, refusal{problem{status: http.StatusRequestEntityTooLarge, code: clients.InvalidClientMetadata, description: "the metadata is larger than 64 KiB"}}
	} else if err != nil {
		return clients.Metadata{}, refusal{problem{status: http.StatusBadRequest, code: clients.InvalidClientMetadata, description: "the metadata could not be read"}}
	}
	m, err := clients.ParseMetadata(body)
	return m, registrationProblem(err)
}

// fullFor is what who finds no place is asked to wait.
const fullFor = time.Hour

// registrationProblem puts refusals into the errors of RFC 7591 §3.2.2 and RFC
// 7592 §2.
func registrationProblem(err error) error {
	var refused *clients.RegistrationError
	switch {
	case errors.As(err, &refused):
		return errors.Join(refusal{problem{status: http.StatusBadRequest, code: refused.Code, description: described(refused.Description)}}, err)
	case errors.Is(err, accounts.ErrInitialToken):
		return registrationChallenge(http.StatusUnauthorized, "invalid_token", "the initial access token is not valid, has expired or is used up")
	case errors.Is(err, accounts.ErrRegistrationToken):
		return registrationChallenge(http.StatusUnauthorized, "invalid_token", "the registration access token is not valid, or there is no such client")
	case errors.Is(err, accounts.ErrTakenOver), errors.Is(err, accounts.ErrOperatorOnly):
		return refusal{problem{status: http.StatusForbidden, code: string(grants.AccessDenied), description: accounts.ErrTakenOver.Error()}}
	case errors.Is(err, accounts.ErrRegistrationFull):
		p := unavailable("too many clients have registered that nobody has used yet: try again later, or ask whoever runs this server")
		p.status = http.StatusTooManyRequests // it is no failure of the server
		p.header.Set("Retry-After", seconds(fullFor))
		return refusal{p}
	}
	return err
}
