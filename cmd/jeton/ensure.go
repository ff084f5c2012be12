package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"jeton/storage"
)

// ensure makes the clients and users of the configuration file that do not
// exist yet. Those that do are left as they are: what an operator has changed
// since, a role taken away or a secret replaced, must not come back with a
// restart. Where they differ from the file, the log says so.
func ensure(ctx context.Context, s *Settings, n *node) error {
	way := &api{client: &http.Client{Transport: inProcess{n.admin()}}}
	var wrong faults
	for _, e := range slices.Concat(s.Clients, s.Users) {
		drift, err := e.ensure(ctx, way)
		var refused *apiError
		switch {
		case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
			wrong.add(e.where, "%s %s: %v", e.kind.noun, e.name(), err)
		case err != nil:
			return fmt.Errorf("%s: %s %s: %w", e.where, e.kind.noun, e.name(), err)
		case len(drift) > 0:
			n.log.Warn("the configuration file and the store differ; the store counts",
				e.kind.noun, e.name(), "at", e.where, "members", strings.Join(drift, ","))
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// rehearse makes what the file lists in a store that is thrown away, so that all
// its faults are told before anything is begun, by the very rules that count.
func (a *app) rehearse(ctx context.Context, s *Settings) error {
	all := slices.Concat(s.Clients, s.Users)
	if len(all) == 0 {
		return nil
	}
	var wrong faults
	seen := map[string]string{}
	for _, e := range all {
		id := e.kind.noun + " " + e.name()
		if first, twice := seen[id]; twice {
			wrong.add(e.where, "%s stands there twice, first at %s: leave one of them out", id, first)
		}
		seen[id] = e.where
	}
	if len(wrong) > 0 {
		return wrong
	}
	dir, err := os.MkdirTemp("", "jeton-check-")
	if err != nil {
		return fmt.Errorf("cannot make a directory to try the file's clients and users in, is TMPDIR writable? %w", err)
	}
	defer os.RemoveAll(dir)
	trial := *s
	trial.Store, trial.MarkFile, trial.MasterKeyFile, trial.masterKey = text("sqlite:"+filepath.Join(dir, "jeton.db")), "", "", ""
	trial.SigningAlg.word = "ES256" // nothing is signed, and these keys are quickly made
	n, err := openNode(ctx, &trial, s.issuer(nil), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer n.close()
	return ensure(ctx, &trial, n)
}

// rehearseFirst rehearses where a store would be begun: a file with faults begins
// none. With a store there is nothing to lose, since [ensure] is repeatable.
func (a *app) rehearseFirst(ctx context.Context, s *Settings) error {
	if begun, err := s.begun(ctx); err != nil || begun {
		return err
	}
	return a.rehearse(ctx, s)
}

// ensure makes one, or names the members in which it differs.
func (e entry) ensure(ctx context.Context, way *api) (drift []string, err error) {
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	there, err := way.do(ctx, http.MethodGet, "/"+e.kind.noun+"s/"+segment(e.name()), nil)
	var refused *apiError
	switch {
	case err == nil:
		return e.drift(body, there)
	case !errors.As(err, &refused) || refused.Code != "not_found":
		return nil, err
	}
	if e.kind.noun == "user" && body["roles"] == nil {
		body["roles"] = []string{}
	}
	_, err = way.do(ctx, http.MethodPost, "/"+e.kind.noun+"s", body)
	if errors.As(err, &refused) && refused.Code == "already_exists" {
		// Another server was faster; or the name of this one is another's sub.
		if _, again := way.do(ctx, http.MethodGet, "/"+e.kind.noun+"s/"+segment(e.name()), nil); again == nil {
			return nil, nil
		}
	}
	return nil, err
}

// drift names the members that the store has otherwise. Secrets are in no
// answer and so never among them.
func (e entry) drift(body map[string]any, there json.RawMessage) ([]string, error) {
	var have map[string]any
	if err := json.Unmarshal(there, &have); err != nil {
		return nil, fmt.Errorf("the %s cannot be read: %w", e.kind.noun, err)
	}
	var names []string
	for name, want := range body {
		if name != "client_secret" && name != "password" && !sameMember(want, have[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// sameMember compares as JSON, durations by their length, times by their
// moment, and what is absent
// with what is empty.
func sameMember(want, have any) bool {
	b, err := json.Marshal(want)
	var plain any
	if err != nil || json.Unmarshal(b, &plain) != nil {
		return false
	}
	if have == nil {
		return plain == nil || reflect.ValueOf(plain).IsZero() || reflect.DeepEqual(plain, []any{})
	}
	wantText, isText := plain.(string)
	haveText, _ := have.(string)
	if d, err := storage.ParseDuration(wantText); isText && err == nil {
		if h, err := storage.ParseDuration(haveText); err == nil {
			return d == h
		}
	}
	if day, err := time.Parse(time.DateOnly, wantText); isText && err == nil {
		wantText = day.Format(time.RFC3339)
	}
	if t, err := time.Parse(time.RFC3339, wantText); isText && err == nil {
		if h, err := time.Parse(time.RFC3339, haveText); err == nil {
			return t.Truncate(time.Second).Equal(h)
		}
	}
	return reflect.DeepEqual(plain, have)
}
