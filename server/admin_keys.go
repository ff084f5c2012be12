package server

import (
	"net/http"
	"time"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
)

// keyObject is a key of the ring as the admin API shows one.
type keyObject struct {
	ID        string     `json:"kid"`
	Use       string     `json:"use"`
	Alg       string     `json:"alg"`
	State     keys.State `json:"state"`
	Created   time.Time  `json:"created_at"`
	Published time.Time  `json:"published_at,omitzero"`
	Activates time.Time  `json:"activates_at,omitzero"`
	Removes   time.Time  `json:"removes_at,omitzero"`
	// Gated: it signs earlier once all known verifiers have fetched it.
	Gated bool `json:"gated,omitzero"`
}

func showKey(k keys.Info) keyObject {
	return keyObject{
		ID: k.KeyID, Use: k.Use, Alg: k.Alg, State: k.State,
		Created: k.Created.UTC(), Published: k.Published.UTC(), Activates: k.Activates.UTC(), Removes: k.Removes.UTC(), Gated: k.Gated,
	}
}

func (a *Admin) listKeys(c *call) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	now, err := a.Grants.Store.Now(c.ctx)
	if err != nil {
		return 0, nil, err
	}
	all := []keyObject{}
	for _, k := range a.Grants.Keys.List(now) {
		all = append(all, showKey(k))
	}
	return http.StatusOK, all, nil
}

func (a *Admin) rotateKey(c *call) (int, any, error) {
	var body struct {
		Now bool `json:"now"`
		reason
	}
	if err := c.decodeOptional(&body); err != nil {
		return 0, nil, err
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	key, err := a.rotate(c, body.Now, "")
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, showKey(key), nil
}

// rotate does it to a ring of that [keys.Line], to any where that is empty.
func (a *Admin) rotate(c *call, now bool, seen string) (keys.Info, error) {
	return a.Grants.Keys.RotateSeen(c.ctx, keys.UseSig, now, seen, tellOfKey(c, events.KeyRotated, func(key, _ keys.Info) string {
		return "kid " + key.KeyID + " signs from " + key.Activates.UTC().Format(time.RFC3339)
	}))
}

// importKey is for operators only: who could have their own key sign would
// outlive every token they hold.
func (a *Admin) importKey(c *call) (int, any, error) {
	var body struct {
		PEM string `json:"pem"`
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if !c.act.Operator {
		return 0, nil, adminRefusal(http.StatusForbidden, "access_denied", "keys are imported only on the machine itself: use the jeton command there")
	}
	key, err := a.Grants.Keys.Import(c.ctx, []byte(body.PEM), tellOfKey(c, events.KeyImported, func(key, _ keys.Info) string {
		return "kid " + key.KeyID + " is next"
	}))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, showKey(key), nil
}

func (a *Admin) removeKey(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	removed, signs, err := a.remove(c, c.vars["kid"], "")
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct {
		keyObject
		Signs string `json:"signing_kid"`
	}{showKey(removed), signs.KeyID}, nil
}

// remove does it to a key in that state, in any where that is empty.
func (a *Admin) remove(c *call, kid string, seen keys.State) (removed, signs keys.Info, err error) {
	return a.Grants.Keys.RemoveSeen(c.ctx, kid, seen, tellOfKey(c, events.KeyRemoved, func(removed, signs keys.Info) string {
		return "kid " + removed.KeyID + " was " + string(removed.State) + "; kid " + signs.KeyID + " signs"
	}))
}

// rewrapKeys seals everything under another master key.
func (a *Admin) rewrapKeys(c *call) (int, any, error) {
	var body struct {
		MasterKey string `json:"master_key"`
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if !c.act.Operator {
		return 0, nil, adminRefusal(http.StatusForbidden, "access_denied", "the master key is changed only on the machine itself: use the jeton command there")
	}
	master, err := keys.ParseMaster(body.MasterKey)
	if err != nil {
		return 0, nil, badBody("%v", err)
	}
	n, err := a.Grants.Rewrap(c.ctx, master, tellOfKey(c, events.MasterKeyChanged, func(_, _ keys.Info) string {
		return "all is sealed under the new master key"
	}))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]int{"sessions": n}, nil
}

// tellOfKey makes the event that goes with a change of the ring.
func tellOfKey(c *call, eventType string, note func(changed, signs keys.Info) string) keys.Tell {
	return func(at time.Time, changed, signs keys.Info) storage.Put {
		e := events.New(eventType, at)
		e.Actor, e.Source, e.Note = c.act.By, c.act.Source, note(changed, signs)
		if c.act.Note != "" {
			e.Note += ": " + c.act.Note
		}
		return events.Put(e)
	}
}
