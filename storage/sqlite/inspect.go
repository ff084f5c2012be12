package sqlite

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"jeton/storage"
)

// mostInspectFaults bounds the list of what is wrong with a file: when so much
// is, a backup is the remedy and not the list.
const mostInspectFaults = 100

// Inspect looks a store over without writing to it, as it is at one moment,
// beside whoever uses it: the pages and indexes of the file, that each index
// entry points at a row that names it and each row has its entries, and that
// no version is from the future. It hands each row to visit, expired ones too,
// and returns all that is wrong, visit's errors included.
//
// While it runs the write-ahead log of the store grows.
func Inspect(ctx context.Context, path string, visit func(storage.Row) error) (faults []string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	c, err := connectQuietly(path)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", explain(err))
	}
	defer c.close()
	i := &inspection{ctx: ctx, c: c, visit: visit}
	if err := i.run(path); err != nil {
		return i.faults, fmt.Errorf("storage: %w", explain(err))
	}
	return i.faults, nil
}

type inspection struct {
	ctx     context.Context
	c       *conn
	visit   func(storage.Row) error
	faults  []string
	entries int64 // that rows name
}

func (i *inspection) fault(format string, args ...any) {
	if len(i.faults) < mostInspectFaults {
		i.faults = append(i.faults, fmt.Sprintf(format, args...))
	}
}

func (i *inspection) run(path string) error {
	if err := i.c.exec("BEGIN"); err != nil {
		return err
	}
	defer i.c.exec("COMMIT")
	version, fresh, err := verify(i.c, path, len(migrations))
	switch {
	case err != nil:
		return err
	case fresh:
		return fmt.Errorf("%s holds nothing: name another file with --store", path)
	case version < len(migrations):
		return fmt.Errorf("%s is of an older version of jeton: start this version on it once, which brings it up to date; of a backup jeton store restore does", path)
	}
	err = i.c.query(func(r *result) error {
		if s := r.text(0); s != "ok" {
			i.fault("SQLite: %s", s)
		}
		return nil
	}, fmt.Sprintf("PRAGMA integrity_check(%d)", mostInspectFaults))
	if err != nil {
		return err
	}
	if err := i.rows(); err != nil {
		return err
	}
	return i.strays()
}

// stored is a row as the file has it.
type stored struct {
	n      int64
	row    storage.Row
	packed []byte
}

// rows walks all rows, a page at a time: a statement is in use while its rows
// are read.
func (i *inspection) rows() error {
	sequence, err := i.c.number("SELECT sequence FROM meta")
	if err != nil {
		return err
	}
	last := int64(math.MinInt64)
	for {
		if err := i.ctx.Err(); err != nil {
			return err
		}
		var page []stored
		err := i.c.query(func(r *result) error {
			page = append(page, rowOf(r))
			return nil
		}, `SELECT n, partition, kind, id, version, expires, entries, value FROM rows WHERE n > ? ORDER BY n LIMIT 1000`, last)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			last = s.n
			if s.row.Version > uint64(sequence) {
				i.fault("%s %q has the version %d, and the last one given is %d", s.row.Kind, s.row.ID, s.row.Version, sequence)
			}
			if err := i.indexed(s); err != nil {
				return err
			}
			if err := i.visit(s.row); err != nil {
				i.fault("%s", err)
			}
		}
	}
}

func rowOf(r *result) stored {
	return stored{
		n: r.int(0), packed: r.blob(6),
		row: storage.Row{
			Partition: storage.Partition(r.text(1)), Key: storage.Key{Kind: r.text(2), ID: r.text(3)},
			Version: uint64(r.int(4)), Expires: fromNanos(r.int(5)), Value: append([]byte{}, r.blob(7)...),
		},
	}
}

// indexed looks for the entries that a row names.
func (i *inspection) indexed(s stored) error {
	var failed error
	err := eachEntry(s.packed, func(e storage.Entry) error {
		i.entries++
		var n int64
		n, failed = i.c.number(`SELECT 1 FROM entries WHERE name = ? AND sort = ? AND partition = ? AND kind = ? AND id = ?`,
			e.Name, e.Sort, string(s.row.Partition), s.row.Kind, s.row.ID)
		if failed == nil && n == 0 {
			i.fault("%s %q is not in the index %s", s.row.Kind, s.row.ID, e.Name)
		}
		return failed
	})
	if err != nil && failed == nil {
		i.fault("%s %q: %v", s.row.Kind, s.row.ID, err)
		return nil
	}
	return failed
}

// strays finds entries that no row names. Where all that rows name are there,
// their number tells.
func (i *inspection) strays() error {
	n, err := i.c.number("SELECT count(*) FROM entries")
	if err != nil {
		return err
	}
	if n == i.entries {
		return nil
	}
	i.fault("the indexes have %d entries, and the rows name %d", n, i.entries)
	return i.c.query(func(r *result) error {
		i.fault("the index %s points at %s %q, which is not there", r.text(0), r.text(1), r.text(2))
		return nil
	}, `SELECT e.name, e.kind, e.id FROM entries e LEFT JOIN rows r ON r.partition = e.partition AND r.kind = e.kind AND r.id = e.id
		WHERE r.n IS NULL LIMIT ?`, int64(mostInspectFaults))
}
