package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/sqlite"
)

// rowCheck looks at rows one by one: that each decodes, stands where it
// belongs, and opens with the master key where it is sealed.
type rowCheck struct {
	master  *keys.MasterKey
	records map[string]int // by kind
	foreign bool           // the key ring opens with another master key
	wrong   []string
}

// examine looks over every record of a file.
func examine(ctx context.Context, file string, master *keys.MasterKey) (*rowCheck, error) {
	c := newRowCheck(master)
	wrong, err := sqlite.Inspect(ctx, file, c.row)
	if err != nil {
		return nil, err
	}
	c.wrong = append(wrong, c.missing()...)
	for i := range c.wrong {
		c.wrong[i] = packagePrefix.ReplaceAllString(c.wrong[i], "$1")
	}
	return c, nil
}

// fault is what is wrong with the file as a whole.
func (c *rowCheck) fault() error {
	switch {
	case c.foreign:
		return errors.New("the key ring does not open with this master key: give the one of this store with --master-key-file or JETON_MASTER_KEY, or restore a backup")
	case len(c.wrong) > 0:
		return fmt.Errorf("the store is damaged (%d faults): restore a backup", len(c.wrong))
	}
	return nil
}

func newRowCheck(master *keys.MasterKey) *rowCheck {
	return &rowCheck{master: master, records: make(map[string]int)}
}

func (c *rowCheck) row(row storage.Row) error {
	kind := row.Kind
	if kind == storage.KindUser && row.Partition != storage.UserPartition(row.ID) {
		kind = "reserved sub" // which no client may take as its id
	}
	c.records[kind]++
	switch row.Kind {
	case storage.KindSession:
		return grants.CheckSession(c.master, row)
	case storage.KindRing, storage.KindKey, storage.KindKeyReaders:
		err := keys.CheckRow(c.master, row)
		c.foreign = c.foreign || row.Kind == storage.KindRing && errors.Is(err, keys.ErrSealed)
		return err
	case storage.KindUser:
		rec, err := storage.Decode[storage.User](row)
		return standing(row, rec.Value.Subject == row.ID, err)
	case storage.KindClient:
		rec, err := storage.Decode[storage.Client](row)
		return standing(row, rec.Value.ID == row.ID && row.Partition == storage.ClientPartition(row.ID), err)
	case storage.KindDevice:
		rec, err := storage.Decode[storage.DeviceRequest](row)
		return standing(row, rec.Value.ID == row.ID && row.Partition == storage.DevicePartition(row.ID), err)
	case storage.KindApproval:
		rec, err := storage.Decode[storage.DeviceApproval](row)
		return standing(row, rec.Value.ID == row.ID && row.Partition == storage.UserPartition(rec.Value.Subject), err)
	case storage.KindEvent:
		rec, err := storage.Decode[storage.Event](row)
		return standing(row, rec.Value.ID == row.ID, err)
	case storage.KindDelivery:
		rec, err := storage.Decode[storage.Delivery](row)
		return standing(row, row.ID == rec.Value.Event.ID+"/"+rec.Value.Webhook, err)
	case storage.KindWebhookState:
		rec, err := storage.Decode[storage.WebhookState](row)
		return standing(row, rec.Value.Name == row.ID && row.Partition == storage.WebhookPartition(row.ID), err)
	case storage.KindRevoked:
		rec, err := storage.Decode[storage.RevokedIndex](row)
		return standing(row, rec.Value.TokenID == row.ID, err)
	case storage.KindList:
		_, err := storage.Decode[storage.StatusList](row)
		return err
	case storage.KindBlock:
		_, err := storage.Decode[storage.StatusBlock](row)
		return err
	case storage.KindSystem:
		_, err := storage.Decode[storage.System](row)
		return err
	}
	return nil // of others only their package knows what they hold
}

// standing is what is wrong with a row whose record names itself.
func standing(row storage.Row, holds bool, err error) error {
	if err == nil && !holds {
		err = fmt.Errorf("%s %q stands in another's place", row.Kind, row.ID)
	}
	return err
}

// missing is what every store has and this one lacks.
func (c *rowCheck) missing() []string {
	if c.records[storage.KindRing] == 0 && c.records[storage.KindKey]+c.records[storage.KindSession] > 0 {
		return []string{"the store has keys or sessions but no key ring"}
	}
	return nil
}

// checked tells what a check has found.
func (o *output) checked(file string, records map[string]int, wrong []string) error {
	if o.json {
		if wrong == nil {
			wrong = []string{}
		}
		object, err := json.Marshal(map[string]any{"file": file, "records": records, "faults": wrong})
		if err != nil {
			return err
		}
		return o.writeJSON(json.RawMessage(object))
	}
	for _, w := range wrong {
		if _, err := fmt.Fprintln(o.w, printable(w)); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tRECORDS")
	for _, kind := range slices.Sorted(maps.Keys(records)) {
		fmt.Fprintf(t, "%s\t%d\n", printable(kind), records[kind])
	}
	if err := t.Flush(); err != nil || len(wrong) > 0 {
		return err
	}
	_, err := fmt.Fprintf(o.w, "%s is sound\n", file)
	return err
}
