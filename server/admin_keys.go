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
}

func showKey(k keys.Info) keyObject {
	return keyObject{
		ID: k.KeyID, Use: k.Use, Alg: k.Alg, State: k.State,
		Created: k.Created.UTC(), Published: k.Published.UTC(), Activates: k.Activates.UTC(), Removes: k.Removes.UTC(),
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
	}
	if err := c.decodeOptional(&body); err != nil {
		return 0, nil, err
	}
	key, err := a.Grants.Keys.Rotate(c.ctx, keys.UseSig, body.Now)
	if err != nil {
		return 0, nil, err
	}
	a.tellOfRotation(c, key)
	return http.StatusOK, showKey(key), nil
}

// tellOfRotation writes the event in a commit of its own, since the ring knows
// no events. That the key is rotated does not hang on it.
func (a *Admin) tellOfRotation(c *call, key keys.Info) {
	now, err := a.Grants.Store.Now(c.ctx)
	if err == nil {
		e := events.New(events.KeyRotated, now)
		e.Actor, e.Source, e.Note = c.act.By, c.act.Source, "kid "+key.KeyID+" signs from "+key.Activates.UTC().Format(time.RFC3339)
		_, err = a.Grants.Store.Commit(c.ctx, storage.Change{Partition: storage.KeyPartition, Puts: []storage.Put{events.Put(e)}})
	}
	if err != nil {
		a.Grants.Log.ErrorContext(c.ctx, "a key was rotated, but the event that tells of it could not be written", "kid", key.KeyID, "actor", c.act.By, "cause", err)
	}
}
