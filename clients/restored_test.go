package clients

import (
	"testing"
	"time"

	"jeton/keys"
	"jeton/storage"
)

// An assertion that may have been used at a time that a restored store knows
// nothing of is not taken again; one that was made later is.
func TestAssertionsOfBeforeARestore(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	at := func(iat any, exp time.Duration) Credentials {
		return presented(key.sign(t, nil, r.claims(map[string]any{"iat": iat, "exp": r.now().Add(exp).Unix()})))
	}
	unix := func(ago time.Duration) int64 { return r.now().Add(-ago).Unix() }
	_, err := r.store.Commit(t.Context(), storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{{
		Key: storage.SystemKey, Value: storage.Encode(storage.System{Restored: &storage.Restored{At: r.now()}}),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r.refused("made before", at(unix(5*time.Second), 30*time.Second))
	r.advance(10 * time.Second)
	r.refused("made before, shown later", at(unix(20*time.Second), 30*time.Second))
	r.accepted("made after", at(unix(0), 30*time.Second))
	r.advance(time.Hour)
	r.accepted("an hour later", at(unix(0), 30*time.Second))
}
