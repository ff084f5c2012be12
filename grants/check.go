package grants

import (
	"fmt"

	"jeton/keys"
	"jeton/storage"
)

// CheckSession tells what is wrong with the row of a session as it was read
// from a store: whether it decodes, stands where it belongs, and whether this
// master key opens its secret.
func CheckSession(master *keys.MasterKey, row storage.Row) error {
	rec, err := storage.Decode[storage.Session](row)
	if err != nil {
		return err
	}
	ses := rec.Value
	if ses.ID != row.ID || row.Partition != storage.UserPartition(ses.Subject) {
		return fmt.Errorf("grants: the session %q stands in another's place", row.ID)
	}
	if _, err := master.Open(purposeSession, ses.Secret, []byte(ses.ID)); err != nil {
		return fmt.Errorf("grants: the secret of session %q does not open: %w", row.ID, err)
	}
	return nil
}
