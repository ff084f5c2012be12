package sqlite

import "fmt"

// applicationID marks a SQLite file as ours ("Jetn"), so that the database of
// another program is refused instead of filled.
const applicationID = 0x4a65746e

// migrations lead from each schema version to the next; the version of a file
// (PRAGMA user_version) is how many of them it has seen. A migration that was
// released is never edited: append another.
var migrations = []string{
	// rows: n is a short name for a row within this file, so that a change in
	// place finds its page without comparing keys. A table with rowids, not
	// WITHOUT ROWID: values of about 1 kB would spill to overflow pages there.
	// entries (as in [packEntries]) stands before value to be read without it.
	//
	// entries: an index entry points at its row by key. Both orders of a
	// listing, over all partitions and within one, are an index of their own.
	//
	// meta: the one sequence from which all versions come, and the store time
	// of the last commit.
	`CREATE TABLE rows (
		n         INTEGER PRIMARY KEY,
		partition TEXT NOT NULL,
		kind      TEXT NOT NULL,
		id        TEXT NOT NULL,
		version   INTEGER NOT NULL,
		expires   INTEGER NOT NULL,
		entries   BLOB,
		value     BLOB,
		UNIQUE (partition, kind, id)
	);
	CREATE INDEX rows_expires ON rows (expires) WHERE expires < 9223372036854775807;
	CREATE TABLE entries (
		name      TEXT NOT NULL,
		sort      TEXT NOT NULL,
		partition TEXT NOT NULL,
		kind      TEXT NOT NULL,
		id        TEXT NOT NULL,
		PRIMARY KEY (name, sort, partition, kind, id)
	) WITHOUT ROWID;
	CREATE INDEX entries_partition ON entries (partition, name, sort, kind, id);
	CREATE TABLE meta (
		one       INTEGER PRIMARY KEY CHECK (one = 1),
		sequence  INTEGER NOT NULL,
		written   INTEGER NOT NULL
	);
	INSERT INTO meta VALUES (1, 0, 0);`,

	// instance names the store, and lineage all that it continues, itself
	// included: a restored store is another one than the backup it was made of.
	// The entry of each but itself ends with "@" and the change at which it parted
	// from that one, except where an early version restored.
	// expects is what its mark must say before it has one of its own. backup is
	// the time at which the file was written as a backup, 0 for a store in use.
	`ALTER TABLE meta ADD COLUMN instance TEXT NOT NULL DEFAULT '';
	ALTER TABLE meta ADD COLUMN lineage TEXT NOT NULL DEFAULT '';
	ALTER TABLE meta ADD COLUMN expects TEXT NOT NULL DEFAULT '';
	ALTER TABLE meta ADD COLUMN backup INTEGER NOT NULL DEFAULT 0;
	UPDATE meta SET instance = lower(hex(randomblob(16)));
	UPDATE meta SET lineage = instance;`,
}

// markedSchema is the first schema whose stores have names and marks.
const markedSchema = 2

// verify reads whether the file is a store that this version may open, without
// writing to it. fresh is a file that holds nothing yet.
func verify(c *conn, path string, known int) (version int, fresh bool, err error) {
	app, err := c.number("PRAGMA application_id")
	if err != nil {
		return 0, false, err
	}
	user, err := c.number("PRAGMA user_version")
	if err != nil {
		return 0, false, err
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, false, err
	}
	switch {
	case app == 0 && user == 0 && tables == 0:
		return 0, true, nil
	case app != applicationID:
		return 0, false, fmt.Errorf("%s is the database of another program: name another file with --store", path)
	case user > int64(known):
		return 0, false, fmt.Errorf("%s was written by a newer version of jeton (schema %d, this one knows %d): run that version, or restore a backup of before the upgrade", path, user, known)
	}
	return int(user), false, nil
}

// migrate brings the file to the newest schema, each step in a transaction of
// its own with the version that it leads to. The caller holds the file lock.
func migrate(c *conn, version int, steps []string) error {
	for ; version < len(steps); version++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA application_id = %d; %s; PRAGMA user_version = %d; COMMIT",
			applicationID, steps[version], version+1)
		if err := c.once(script); err != nil {
			c.once("ROLLBACK") // fails when there is nothing to roll back
			return fmt.Errorf("schema %d: %w", version+1, err)
		}
	}
	return nil
}
