package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"jeton/events"
	"jeton/events/webhooks"
)

// webhookEntry is what the file says of a program that is told of events. The
// token is named only: it is read at each call.
var webhookEntry = entryKind{"webhook", "name",
	[]string{"name", "url", "audience", "events", "bearer_token_file"},
	[]string{"bearer_token"}}

// webhook is the entry as the dispatcher takes it.
func (e entry) webhook() (webhooks.Webhook, error) {
	var w webhooks.Webhook
	for member, to := range map[string]*string{"name": &w.Name, "url": &w.URL, "audience": &w.Audience, "bearer_token_file": &w.BearerFile} {
		value, there := e.fields[member]
		text, isText := value.(string)
		if there && (!isText || text == "") {
			return w, fmt.Errorf("%s has to be a text", member)
		}
		*to = text
	}
	if w.BearerFile != "" && !filepath.IsAbs(w.BearerFile) {
		w.BearerFile = filepath.Join(e.dir, w.BearerFile)
	}
	names, there := e.fields["events"]
	listed, isList := names.([]any)
	if there && (!isList || len(listed) == 0) {
		return w, fmt.Errorf("events has to be a list of names; leave it out for all")
	}
	for _, name := range listed {
		w.Events = append(w.Events, fmt.Sprint(name))
	}
	return w, nil
}

// webhooks are those of the file, which [Settings.checkWebhooks] has passed.
func (s *Settings) webhooks() []webhooks.Webhook {
	var all []webhooks.Webhook
	for _, e := range s.Webhooks {
		if w, err := e.webhook(); err == nil {
			all = append(all, w)
		}
	}
	return all
}

func (s *Settings) checkWebhooks(wrong *faults) {
	var names []string
	for _, e := range s.Webhooks {
		w, err := e.webhook()
		if err == nil {
			err = w.Check([]netip.Prefix(s.OutboundAllow))
		}
		switch {
		case e.name() == "":
			wrong.add(e.where, "this webhook has no name")
		case err != nil:
			hint := ""
			if unknown := new(webhooks.UnknownEventError); errors.As(err, &unknown) {
				hint = suggest(unknown.Name, events.Types())
			}
			wrong.add(e.where, "webhook %s: %v%s", e.name(), err, hint)
		case slices.Contains(names, w.Name):
			wrong.add(e.where, "webhook %s stands there twice: give each a name of its own", w.Name)
		}
		names = append(names, w.Name)
	}
	if len(names) > webhooks.MostWebhooks {
		wrong.add(s.Webhooks[webhooks.MostWebhooks].where, "there are more than %d webhooks", webhooks.MostWebhooks)
	}
}
