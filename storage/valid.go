package storage

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxValue bounds one value, far above what a record is.
const maxValue = 16 << 20

// ValidKeys says what is wrong with keys that no row may have; see [ErrInvalid].
func ValidKeys(p Partition, keys []Key) error {
	if p == "" || strings.IndexByte(string(p), 0) >= 0 {
		return fmt.Errorf("%w: %q is no partition", ErrInvalid, string(p))
	}
	for _, k := range keys {
		if k.Kind == "" || k.ID == "" || strings.IndexByte(k.Kind, 0) >= 0 || strings.IndexByte(k.ID, 0) >= 0 {
			return fmt.Errorf("%w: %q %q is no key", ErrInvalid, k.Kind, k.ID)
		}
	}
	return nil
}

// Valid says what is wrong with a change that has no meaning. Backends ask
// before they begin with it.
func (c *Change) Valid() error {
	keys := make([]Key, 0, len(c.Checks)+len(c.Puts)+len(c.Deletes))
	written := make(map[Key]bool, len(c.Puts)+len(c.Deletes))
	for i := range c.Puts {
		if err := validPut(&c.Puts[i]); err != nil {
			return err
		}
		keys = append(keys, c.Puts[i].Key)
		written[c.Puts[i].Key] = true
	}
	for _, k := range c.Deletes {
		keys = append(keys, k)
		written[k] = true
	}
	if len(written) != len(keys) {
		return errors.New("a change writes the same row twice")
	}
	for _, check := range c.Checks {
		keys = append(keys, check.Key)
	}
	return ValidKeys(c.Partition, keys)
}

func validPut(p *Put) error {
	if len(p.Value) > maxValue {
		return fmt.Errorf("the value of %s %q has %d bytes, the most is %d", p.Kind, p.ID, len(p.Value), maxValue)
	}
	if e := p.Expires; !e.IsZero() && !time.Unix(0, e.UnixNano()).Equal(e) {
		return fmt.Errorf("%s %q expires %s, which is out of range", p.Kind, p.ID, e.Format(time.RFC3339))
	}
	for _, e := range p.Index {
		if e.Name == "" || strings.IndexByte(e.Name, 0) >= 0 || strings.IndexByte(e.Sort, 0) >= 0 {
			return fmt.Errorf("%w: %q %q is no index entry", ErrInvalid, e.Name, e.Sort)
		}
	}
	return nil
}
