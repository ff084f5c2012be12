package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// shownOf says which settings a client's form has. One that has a document says
// the others itself.
func shownOf(c storage.Client) func(clientSetting) bool {
	return func(s clientSetting) bool { return c.Document == nil || documentSettings[s.name] }
}

// editable finds the client of a form of settings, as those may change it who
// come in by this door.
func (o *operation) editable() (storage.Client, error) {
	c, err := o.s.admin.Clients.Find(o.ctx, o.sent.Get("id"))
	if err == nil && accounts.Protected(c) {
		err = accounts.ErrOperatorOnly
	}
	return c, err
}

// consoleSettingsForm shows the settings of a client, to be changed. Who has not
// shown the password lately does so first: before there is anything to fill in.
func (s *Server) consoleSettingsForm(o *operation) error {
	if !o.fresh() {
		return nil
	}
	c, err := o.editable()
	if err != nil {
		return err
	}
	return o.settingsForm(http.StatusOK, c, typedOf(c), "")
}

func (o *operation) settingsForm(status int, c storage.Client, t typed, fault string) error {
	p := pages.Sheet{
		Frame: o.frame("/clients"), Title: "Settings of " + clientName(c),
		Lead: "You see what changes, and what it ends, before it is done.",
	}
	if fault != "" {
		p.Said = &pages.Said{Kind: "bad", Words: fault}
	}
	about := url.Values{"id": {c.ID}}
	f := &pages.Form{
		Action: o.at("/client/settings", about), Token: o.token("/client/settings", about), Words: "Look at the change", Cancel: o.at("/client", about),
		Fields: []pages.Field{{Name: "seen", Value: accounts.ClientTag(c)}}, Groups: t.groups(shownOf(c)),
	}
	p.Cards = []pages.Card{{Form: f}}
	return o.show(status, p)
}

// consoleSettings takes the form twice: to say what would come of it, which
// changes nothing and is answered at once, and then with a reason to do it.
func (s *Server) consoleSettings(o *operation) error {
	if !o.fresh() {
		return nil
	}
	c, err := o.editable()
	if err != nil {
		return err
	}
	was, t, shown, seen := typedOf(c), typedIn(o.form), shownOf(c), o.form.get("seen")
	if seen != accounts.ClientTag(c) {
		return o.settingsForm(http.StatusConflict, c, was, sentence(accounts.ErrChanged.Error()))
	}
	settings, changes := t.against(was, shown)
	o.act.Seen = seen
	_, will, end, err := s.admin.Clients.Foresee(o.ctx, c.ID, settings, o.act)
	if err != nil && !t.blame(err, shown) {
		return o.refuseSettings(err)
	}
	switch fault := t.wrong(); {
	case fault != "":
		return o.settingsForm(http.StatusBadRequest, c, t, fault)
	case o.form.get("again") != "":
		return o.settingsForm(http.StatusOK, c, t, "")
	case len(changes) == 0:
		return o.settingsForm(http.StatusBadRequest, c, t, "Nothing was changed: the form says what the settings are already.")
	case o.form.get("step") != "do":
		return o.reviewSettings(http.StatusOK, c, will, end, t, changes, "")
	}
	why := revocation{reason: reason{o.form.get("reason")}}
	if err = why.because(); err == nil {
		err = o.because(why.reason)
	}
	if err != nil {
		return o.reviewSettings(http.StatusBadRequest, c, will, end, t, changes, sentence(adminProblemOf(err).description))
	}
	after, secret, err := s.admin.Clients.Set(o.ctx, c.ID, settings, o.act)
	switch {
	case err != nil:
		return o.refuseSettings(err)
	case secret != "":
		return o.showSecret(after, secret)
	}
	o.done("/client", url.Values{"id": {c.ID}, "done": {"settings"}})
	return nil
}

// refuseSettings shows the form anew where somebody else was faster.
func (o *operation) refuseSettings(err error) error {
	if !errors.Is(err, accounts.ErrChanged) {
		return err
	}
	c, err := o.editable()
	if err != nil {
		return err
	}
	return o.settingsForm(http.StatusConflict, c, typedOf(c), sentence(accounts.ErrChanged.Error()))
}

// reviewSettings asks whether to do what a form says.
func (o *operation) reviewSettings(status int, c, will storage.Client, end *grants.Ending, t typed, changes []settingChange, fault string) error {
	p := pages.Sheet{Frame: o.frame("/clients"), Title: "Change the settings of " + clientName(c)}
	if fault != "" {
		p.Said = &pages.Said{Kind: "bad", Words: fault}
	}
	table := &pages.Table{Caption: "What changes", Columns: []string{"Setting", "From", "To"}}
	for _, ch := range changes {
		table.Rows = append(table.Rows, []pages.Cell{{Words: ch.named()}, {Words: orNone(ch.from)}, {Words: orNone(ch.to)}})
	}
	p.Cards = append(p.Cards, pages.Card{Title: "What changes", Table: table, Words: followsInWords(c, will)})
	ends := pages.Card{Title: "What ends", Words: "Nothing. Every server goes by the settings within a second; tokens that are out there stay as they are."}
	f := &pages.Form{Words: "Change the settings", Cancel: o.at("/client", o.sent)}
	if end != nil {
		preview, err := o.s.admin.counted(o.call, endingBy(grants.Selection{ClientID: c.ID}, end))
		if err != nil {
			return err
		}
		ends.Words, ends.Facts, f.Kind = "Sessions end, with all their tokens. Tokens that the client got for itself end too.", previewFacts(preview), "danger"
		if end.AccessOnly {
			ends.Words = "The access tokens of these sessions stop working, because the client may have less now; the sessions go on, and their next refresh goes by the new settings. Tokens that the client got for itself end too."
		}
	}
	f.Action, f.Token = o.at("/client/settings", o.sent), o.token("/client/settings", o.sent)
	f.Fields = append(t.hidden(), pages.Field{Name: "seen", Value: o.form.get("seen")}, pages.Field{Name: "step", Value: "do"})
	f.Inputs = []pages.Input{reasonInput(o.form.get("reason"))}
	f.Back = &pages.Field{Name: "again", Value: "true"}
	ends.Form = f
	p.Cards = append(p.Cards, ends)
	return o.show(status, p)
}

// followsInWords says what else comes of a change.
func followsInWords(was, will storage.Client) (words string) {
	hadSecret, hasSecret := was.SecretHash != "", will.SecretHash != ""
	switch {
	case hasSecret && !hadSecret:
		words = "It gets a secret, which is shown once, on the next page. "
	case hadSecret && !hasSecret:
		words = "Its secret stops working and is forgotten. "
	}
	if r := was.Registration; r != nil && !r.TakenOver {
		words += "The client has registered itself; from now on it cannot change itself any more."
	}
	return words
}

// newClientForm asks for a client.
func (s *Server) newClientForm(o *operation) error {
	if !o.fresh() {
		return nil
	}
	return o.clientForm(http.StatusOK, "", typedOf(storage.Client{}), "")
}

func (o *operation) clientForm(status int, id string, t typed, fault string) error {
	p := pages.Sheet{Frame: o.frame("/clients"), Title: "New client", Lead: "A program that asks for tokens. Where it proves itself with a secret, that is made and shown once, on the next page."}
	if fault != "" {
		p.Said = &pages.Said{Kind: "bad", Words: fault}
	}
	groups := t.groups(func(clientSetting) bool { return true })
	named := pages.Control{Input: &pages.Input{
		Name: "client_id", Label: "client_id", Hint: "What it names itself by. It cannot be changed.", Value: id, Fault: t.faults["client_id"], Max: 255, Required: true,
	}}
	groups[0].Controls = slices.Insert(groups[0].Controls, 0, named)
	p.Cards = []pages.Card{{Form: &pages.Form{
		Action: o.at("/client/new", nil), Token: o.token("/client/new", nil), Words: "Add the client", Cancel: o.at("/clients", nil), Groups: groups,
	}}}
	return o.show(status, p)
}

// newClient adds it. Where it has a secret, that stands on the page that answers:
// a redirect would have to carry it. The form sent again, as by "reload", finds
// that there is such a client.
func (s *Server) newClient(o *operation) error {
	if !o.fresh() {
		return nil
	}
	t, id := typedIn(o.form), o.form.get("client_id")
	anything := func(clientSetting) bool { return true }
	settings, _ := t.against(typedOf(storage.Client{}), anything)
	var client storage.Client
	var secret string
	var err error
	wanted := accounts.NewClient{ID: id, ClientSettings: settings}
	if len(t.faults) == 0 {
		client, secret, err = s.admin.Clients.Add(o.ctx, wanted, o.act)
	} else {
		err = s.admin.Clients.Judge(accounts.ImportedClient{NewClient: wanted}, o.act)
	}
	if err != nil && !t.blame(err, anything) {
		return err
	}
	status := http.StatusBadRequest
	if errors.Is(err, grants.ErrExists) {
		status = http.StatusConflict
	}
	switch fault := t.wrong(); {
	case fault != "":
		return o.clientForm(status, id, t, fault)
	case secret != "":
		return o.showSecret(client, secret)
	}
	o.done("/client", url.Values{"id": {client.ID}, "done": {"added"}})
	return nil
}

// reasonInput asks why.
func reasonInput(value string) pages.Input {
	return pages.Input{
		Name: "reason", Label: "Reason", Hint: "It is kept with what ends and in the audit log, with your name.", Value: value, Max: 400, Required: true, Focus: true,
	}
}
