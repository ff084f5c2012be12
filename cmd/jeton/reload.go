package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// fixed are the settings that a process keeps for its life: its addresses and
// files are open, and the issuer stands in every token.
var fixed = []string{"config", "store", "master-key-file", "admin-socket", "listen", "issuer", "tls-cert", "tls-key", "metrics-listen", "mark-file", "redis-prefix"}

// reloadable reports whether a hangup has anything to read again. Without, it
// means what it always meant: the terminal is gone.
func (v *service) reloadable() bool { return v.settings.Config != "" || v.cert != nil }

// reload reads certificate and configuration again and lets a new generation
// take over from g. What is wrong with them is logged, and g serves on.
func (a *app) reload(ctx context.Context, v *service, g *generation) *generation {
	if v.cert != nil {
		v.cert.reload()
	}
	if v.settings.Config == "" {
		return g
	}
	s, err := load(v.settings.flags, a.environ)
	var changed []string
	if err == nil {
		changed, err = changes(g.settings, s)
	}
	if err == nil {
		err = a.rehearse(ctx, s) // so that of a file with faults nothing is made
	}
	var next *generation
	if err == nil {
		next, err = v.begin(ctx, s, s.logger(a.stderr, slog.LevelDebug), occasion{opened: nothing})
	}
	if err != nil {
		g.log.Error("the configuration was read again and is not used; the one before serves on. Set it right and send SIGHUP again, jeton config check tells what is wrong",
			"config", v.settings.Config.String(), "cause", err)
		return g
	}
	v.log = next.log
	g.end() // until then both answer
	next.log.Info("the configuration was read again", "config", v.settings.Config.String(), "changed", strings.Join(changed, ","), "files", shortened(s.files()))
	return next
}

func nothing(context.Context, *node) (func(string), error) { return func(string) {}, nil }

// mostNamed bounds how many files one line of the log names.
const mostNamed = 20

func shortened(names []string) string {
	if more := len(names) - mostNamed; more > 0 {
		names = append(slices.Clone(names[:mostNamed]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ",")
}

// files are those that a reading of the settings reads beside the configuration
// file itself, as they are named there. Certificates have a line of their own,
// and what is read at each use is not among them.
func (s *Settings) files() []string {
	var names []string
	for _, file := range []path{s.PasswordBlocklist, s.RedisCAFile} {
		if file != "" {
			names = append(names, file.String())
		}
	}
	for _, e := range slices.Concat(s.Clients, s.Users) {
		for _, member := range slices.Sorted(maps.Keys(e.fields)) {
			if name, ok := e.fields[member].(string); ok && strings.HasSuffix(member, "_file") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// changes names the settings that differ, and refuses those that cannot change.
func changes(before, after *Settings) ([]string, error) {
	var names, refused []string
	for _, row := range table() {
		if row.value(before).String() == row.value(after).String() {
			continue
		}
		names = append(names, row.name)
		if slices.Contains(fixed, row.name) {
			refused = append(refused, row.name)
		}
	}
	if len(refused) > 0 {
		return nil, errors.New("only a restart can change " + strings.Join(refused, ", "))
	}
	return names, nil
}
