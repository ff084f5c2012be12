package copying

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/storage"
)

// Difference is a row that is not the same in both stores.
type Difference struct {
	Partition storage.Partition
	storage.Key
	What string
}

func (d Difference) String() string { return fmt.Sprintf("%s %q: %s", d.Kind, d.ID, d.What) }

// soon is how long a row must have to live to be missed: it may be gone from one
// of the two before the other is asked, whose clock is another.
const soon = 10 * time.Second

// Verify compares the two stores, which nobody may use, after [Copy.Last]: whether
// each row of the source was found in the target, and no other, and one row in
// every so many with all that it holds. It returns how many it compared so, and the
// first difference.
func (c *Copy) Verify(ctx context.Context, every int) (compared int64, found *Difference, err error) {
	to, err := c.target()
	if err != nil {
		return 0, nil, err
	}
	n := 0
	err = c.From.Heads(ctx, func(heads []storage.Head) error {
		for _, h := range heads {
			met := c.Journal.met(rowKey{h.Partition, h.Key})
			if n++; found != nil || !lasts(h, time.Now()) || met && n%every != 0 {
				continue
			}
			compared++
			what, err := c.compare(ctx, to, h)
			if err != nil {
				return err
			}
			if what != "" && lasts(h, time.Now().Add(soon)) {
				found = &Difference{h.Partition, h.Key, what}
			}
		}
		return nil
	})
	if err == nil && found == nil {
		found, err = c.surplus(ctx, to)
	}
	if err == nil {
		err = c.checkpoint(ctx) // nothing of it was lost, or goes on being written by another
	}
	return compared, found, err
}

// surplus is a row of the target that the source has not.
func (c *Copy) surplus(ctx context.Context, to storage.Source) (found *Difference, err error) {
	err = to.Heads(ctx, func(heads []storage.Head) error {
		for _, h := range heads {
			if found == nil && lasts(h, time.Now().Add(soon)) && !c.Journal.met(rowKey{h.Partition, h.Key}) {
				found = &Difference{h.Partition, h.Key, "the source does not have it"}
			}
		}
		return nil
	})
	return found, err
}

// compare says how a row differs, empty if it does not.
func (c *Copy) compare(ctx context.Context, to storage.Source, h storage.Head) (string, error) {
	was, err := c.From.Wholes(ctx, h.Partition, h.Key)
	if err != nil {
		return "", err
	}
	is, err := to.Wholes(ctx, h.Partition, h.Key)
	if err != nil {
		return "", err
	}
	a, b := was[0], is[0]
	switch {
	case b.Version == 0:
		return "it is missing", nil
	case !bytes.Equal(a.Value, b.Value):
		return "it holds something else", nil
	case !a.Expires.Truncate(time.Microsecond).Equal(b.Expires.Truncate(time.Microsecond)):
		return "it expires at another time", nil
	case !slices.Equal(sorted(a.Entries), sorted(b.Entries)):
		return "it stands elsewhere in the indexes", nil
	}
	return "", nil
}

func sorted(entries []storage.Entry) []storage.Entry {
	out := slices.Clone(entries)
	slices.SortFunc(out, func(a, b storage.Entry) int {
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Sort, b.Sort)
	})
	return slices.Compact(out)
}
