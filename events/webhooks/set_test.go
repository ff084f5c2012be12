package webhooks

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
)

// Every type of event makes a SET of the same shape.
func TestS11_S18_TheShapeOfASET(t *testing.T) {
	w := newWorld(t)
	d := w.dispatcher(nil)
	hook := Webhook{Name: "siem", URL: "https://siem.example/in", Audience: "https://siem.example"}
	for _, name := range events.Types() {
		e := events.New(name, w.clock.now())
		e.Subject, e.Session, e.ClientID, e.Actor = "u-alice", "sid1", "web", "operator"
		e.Reason, e.Note, e.Source = "operator", "laptop stolen", "192.0.2.7"
		set, err := d.sign(t.Context(), w.clock.now(), hook, e)
		must(t, err)
		again, err := d.sign(t.Context(), w.clock.now(), hook, e)
		must(t, err)
		if set != again {
			t.Errorf("%s: a repetition is another text", name)
		}
		claims := w.verify(set, "https://siem.example")
		names := make([]string, 0, len(claims))
		for name := range claims {
			names = append(names, name)
		}
		slices.Sort(names)
		if want := []string{"aud", "events", "iat", "iss", "jti", "sub_id"}; !slices.Equal(names, want) {
			t.Errorf("%s: the claims are %q, want %q", name, names, want)
		}
		if claims["jti"] != e.ID || claims["iat"] != float64(e.Time.Unix()) {
			t.Errorf("%s: jti %v, iat %v", name, claims["jti"], claims["iat"])
		}
		happened := claims["events"].(map[string]any)
		if len(happened) != 1 {
			t.Errorf("%s: %d events in one SET", name, len(happened))
		}
		for _, payload := range happened {
			p := payload.(map[string]any)
			reason, _ := p["reason_admin"].(map[string]any)["en"].(string)
			if p["type"] != name || p["event_timestamp"] != float64(e.Time.Unix()) || reason == "" || p["initiating_entity"] == "" {
				t.Errorf("%s: %v", name, p)
			}
		}
		if strings.Contains(payloadText(t, claims), "192.0.2.7") {
			t.Errorf("%s: the address that somebody came from is told", name)
		}
	}
}

func payloadText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// A SET is no access token, though the same key signs both.
func TestS11_ASETIsNoAccessToken(t *testing.T) {
	w := newWorld(t)
	d := w.dispatcher(nil)
	set, err := d.sign(t.Context(), w.clock.now(), Webhook{URL: issuer}, events.New(events.KeyRotated, w.clock.now()))
	must(t, err)
	if err := w.ring.Parse(t.Context(), w.clock.now(), keys.UseSig, set, "at+jwt", jwt.MapClaims{}); err == nil {
		t.Error("a SET passes for an access token")
	}
}

func TestS13_S17_S19_S20_WhatEachEventSays(t *testing.T) {
	alice := `{"format":"iss_sub","iss":"https://login.example","sub":"u-alice"}`
	for _, tt := range []struct {
		event     storage.Event
		uri       string
		subject   string
		initiator string
		payload   string // a part of it
	}{
		{storage.Event{Type: events.SessionStarted, Subject: "u-alice", Session: "s1", ClientID: "web", Actor: "u-alice"}, caep + "session-established",
			`{"application":{"format":"opaque","id":"web"},"format":"complex","session":{"format":"opaque","id":"s1"},"user":` + alice + `}`, "user", `"en":"session started"`},
		{storage.Event{Type: events.SessionEnded, Subject: "u-alice", Session: "s1", ClientID: "web", Actor: "client:web", Reason: storage.ReasonRevoked}, caep + "session-revoked",
			`{"application":{"format":"opaque","id":"web"},"format":"complex","session":{"format":"opaque","id":"s1"},"user":` + alice + `}`, "user", `"reason":"revoked"`},
		{storage.Event{Type: events.SessionEnded, Subject: "u-alice", Session: "s1", Actor: "server", Reason: storage.ReasonReuse}, caep + "session-revoked",
			`{"format":"complex","session":{"format":"opaque","id":"s1"},"user":` + alice + `}`, "policy", `"reason":"reuse"`},
		{storage.Event{Type: events.SessionsEnded, Subject: "u-alice", Actor: "operator", Note: "laptop stolen", Reason: "operator"}, caep + "session-revoked", alice, "admin", `"en":"operator: laptop stolen"`},
		{storage.Event{Type: events.SessionsEnded, ClientID: "web", Actor: "operator"}, ours + "sessions_ended", `{"format":"iss_sub","iss":"https://login.example","sub":"web"}`, "admin", ""},
		{storage.Event{Type: events.SessionsEnded, Actor: "operator"}, ours + "sessions_ended", `{"format":"uri","uri":"https://login.example"}`, "admin", ""},
		{storage.Event{Type: events.PasswordChanged, Subject: "u-alice", Actor: "operator"}, caep + "credential-change", alice, "admin", `"change_type":"update","credential_type":"password"`},
		{storage.Event{Type: events.PasswordReset, Subject: "u-alice", Actor: "client:helpdesk", Occurred: time.Unix(7, 0)}, caep + "credential-change", alice, "admin", `"event_timestamp":7`},
		{storage.Event{Type: events.SessionsEnded, Subject: "u-alice", Kept: "s1", Actor: "u-alice"}, ours + "sessions_ended", alice, "user", `"kept_sid":"s1"`},
		{storage.Event{Type: events.RolesChanged, Subject: "u-alice", Actor: "u-bob", Note: "from [A] to [B]"}, ours + "roles_changed", alice, "admin", `"en":"from [A] to [B]"`},
		{storage.Event{Type: events.UserDisabled, Subject: "u-alice", Actor: "u-alice"}, risc + "account-disabled", alice, "user", ""},
		{storage.Event{Type: events.UserEnabled, Subject: "u-alice", Actor: "operator"}, risc + "account-enabled", alice, "admin", ""},
		{storage.Event{Type: events.UserDeleted, Subject: "u-alice", Actor: "operator"}, risc + "account-purged", alice, "admin", ""},
		{storage.Event{Type: events.KeyRotated}, ours + "key_rotated", `{"format":"uri","uri":"https://login.example"}`, "system", ""},
	} {
		if got := uriOf(tt.event); got != tt.uri {
			t.Errorf("%+v: %s, want %s", tt.event, got, tt.uri)
		}
		if got := payloadText(t, subjectOf(issuer, tt.event)); got != tt.subject {
			t.Errorf("%+v: subject %s, want %s", tt.event, got, tt.subject)
		}
		payload := payloadText(t, payloadOf(tt.event))
		if initiatorOf(tt.event) != tt.initiator || !strings.Contains(payload, tt.payload) {
			t.Errorf("%+v: %s", tt.event, payload)
		}
	}
}
