package keys

import (
	"fmt"

	"jeton/storage"
)

// CheckRow tells what is wrong with a row of the key ring as it was read from
// a store: whether it decodes, and whether this master key opens it. Rows of
// other kinds are none of its business.
func CheckRow(master *MasterKey, row storage.Row) error {
	switch row.Kind {
	case storage.KindRing:
		rec, err := storage.Decode[ringRecord](row)
		if err != nil {
			return err
		}
		if err := master.follow(rec.Value); err != nil {
			return fmt.Errorf("keys: the key ring was not sealed with this master key: %w", ErrSealed)
		}
	case storage.KindKey:
		rec, err := storage.Decode[storage.SigningKey](row)
		if err != nil {
			return err
		}
		_, err = (&Ring{master: master}).unseal(rec.Value, row.ID, nil)
		return err
	case storage.KindKeyReaders:
		_, err := storage.Decode[readersRecord](row)
		return err
	}
	return nil
}
