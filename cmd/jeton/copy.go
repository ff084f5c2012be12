package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"jeton/storage"
	"jeton/storage/copying"
	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// moving is one run of store copy.
type moving struct {
	from, to             *Settings
	finish, abandon, all bool
	told                 io.Writer // progress; nil for none
	lastTold             time.Time

	source source
	target target
	// kept is the name that a source on a file has had since a run was killed
	// that had taken it out of use and not yet opened the target.
	kept string
}

// source is the store that is copied, and how everybody is kept out of it.
type source struct {
	storage.Source
	name, id string
	movedTo  string
	hold     func(context.Context) error
	release  func(context.Context) error // undoes hold, unless another has taken it over since
	back     func(context.Context) error // puts it into use whoever took it out
	retire   func(context.Context) (string, error)
	close    func() error
}

// target is the store that is filled. What fills it has it to itself.
type target struct {
	copying.Target
	name string
	// ready is done when all is there, before the source is taken out of use;
	// release opens the target to all, and closes it here.
	ready   func() error
	release func(context.Context) error
	close   func() error
}

// moved tells what a run has done.
type moved struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Records  int64  `json:"records"`
	Copied   int64  `json:"copied"`
	Removed  int64  `json:"removed"`
	Compared int64  `json:"compared,omitempty"`
	Finished bool   `json:"finished"`
	Kept     string `json:"kept,omitempty"`
	// Closed says that the target of a copy that is given up had been opened, and
	// is no longer.
	Closed bool `json:"closed,omitempty"`
}

func (a *app) storeCopy() *cobra.Command {
	var from, to string
	m := &moving{}
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Move to another store, such as Redis, without logging anybody out",
		Long: "Copy the store to another one, beside the servers that use it. Run it as often as\n" +
			"you like: each run copies what has changed, and one that was interrupted goes on.\n" +
			"No server takes the new store before it is whole.\n\n" +
			"Last, run it with --finish: it takes the old store out of use, copies what is left,\n" +
			"compares the two, and opens the new one. End the servers on a SQLite file for that;\n" +
			"those on Redis answer 503 from then on. Start them with --store of the new one and\n" +
			"the same master key and issuer.",
		Example: "  jeton store copy --from sqlite:jeton-data/jeton.db --to redis://127.0.0.1:6379\n" +
			"  jeton store copy --from sqlite:jeton-data/jeton.db --to redis://127.0.0.1:6379 --finish",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			if from == "" || to == "" {
				return usagef("both stores are needed: --from URL --to URL")
			}
			m.from, m.to = s.withStore(from), s.withStore(to)
			if !bool(s.JSON) {
				m.told = a.stderr
			}
			done, err := m.run(cmd.Context())
			if err != nil {
				return err
			}
			return done.tell(&output{w: a.stdout, json: bool(s.JSON)}, m.abandon)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the store that is there: sqlite:FILE, redis://HOST ...")
	cmd.Flags().StringVar(&to, "to", "", "the store to fill: a file that does not exist yet, or a Redis without one")
	cmd.Flags().BoolVar(&m.finish, "finish", false, "take the old store out of use, copy the rest, compare, and open the new one")
	cmd.Flags().BoolVar(&m.abandon, "abandon", false, "give up: put the old store on Redis back into use")
	cmd.Flags().BoolVar(&m.all, "compare-all", false, "with --finish, compare every record and not one in a hundred")
	return cmd
}

// withStore is the settings with another store.
func (s *Settings) withStore(url string) *Settings {
	other := *s
	other.Store = text(url)
	return &other
}

func (m *moving) run(ctx context.Context) (done moved, err error) {
	done.From, done.To = redis.Redact(m.from.Store.String()), redis.Redact(m.to.Store.String())
	if err := m.openSource(ctx); err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, m.source.close()) }()
	if err := os.MkdirAll(filepath.Dir(m.journal()), 0o700); err != nil {
		return done, fmt.Errorf("the directory of the journal of the copy cannot be made: %w", err)
	}
	unlock, err := copying.Lock(m.journal())
	if errors.Is(err, copying.ErrRuns) {
		return done, fmt.Errorf("another jeton store copy runs with the journal %s: wait for its end, or end it", m.journal())
	} else if err != nil {
		return done, fmt.Errorf("the journal of the copy cannot be locked: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if m.abandon {
		done.Closed, err = m.abandoned(ctx, done.To)
		return done, err
	}
	if err := m.openTarget(ctx); err != nil && m.kept != "" {
		return done, fmt.Errorf("%w; %s is what was copied before: if that copy was finished, nothing is left to do but to start the servers with --store %s", err, m.kept, done.To)
	} else if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, m.target.close()) }()
	journal, err := copying.OpenJournal(m.journal(), m.source.id+" "+m.target.name)
	if errors.Is(err, copying.ErrOther) {
		return done, fmt.Errorf("%s is of a copy to another store: finish that one, or remove the file", m.journal())
	} else if err != nil {
		return done, fmt.Errorf("the journal of the copy cannot be opened: %w", err)
	}
	c := &copying.Copy{From: m.source, To: m.target.Target, Journal: journal, Progress: m.progress}
	if !m.finish || m.from.onRedis() { // whose servers answer meanwhile; those of a file have ended
		var p copying.Progress
		p, err = c.Pass(ctx)
		done.Records, done.Copied = p.Seen, p.Copied
		m.tellAnew(p)
	}
	if err == nil && m.finish {
		err = m.end(ctx, c, &done)
	}
	if err == nil && done.Finished {
		return done, journal.Done()
	}
	return done, errors.Join(err, journal.Close())
}

// journal is the file that remembers what was copied, beside what is a file of
// the two.
func (m *moving) journal() string {
	if !m.to.onRedis() {
		if file, err := sqliteFile(m.to.Store.String()); err == nil {
			return sqlite.Filling(file) + ".journal"
		}
	}
	return filepath.Join(m.from.dataDir(), "store-copy.journal")
}

// end is what must not be seen half done. Before the new store opens, an error
// puts the old one back into use.
func (m *moving) end(ctx context.Context, c *copying.Copy, done *moved) (err error) {
	defer func() {
		if err != nil && !done.Finished {
			err = errors.Join(err, m.source.release(context.WithoutCancel(ctx)))
		}
	}()
	if err := m.source.hold(ctx); err != nil {
		return err
	}
	p, err := c.Last(ctx)
	if err != nil {
		return err
	}
	m.tellAnew(p)
	done.Records, done.Copied, done.Removed = p.Seen, done.Copied+p.Copied, p.Removed
	every := 100
	if m.all || done.Records < 10_000 { // which takes no time
		every = 1
	}
	compared, difference, err := c.Verify(ctx, every)
	switch {
	case err != nil:
		return err
	case difference != nil:
		return fmt.Errorf("the two stores are not the same (%s), and nothing was switched: remove %s and the target, and copy anew", difference, m.journal())
	}
	done.Compared = compared
	if err := m.target.ready(); err != nil {
		return err
	}
	if done.Kept, err = m.source.retire(ctx); err != nil {
		return err
	}
	// From here on nobody goes on with the old one.
	done.Finished = true
	if err := m.target.release(ctx); err != nil {
		return fmt.Errorf("all is copied and the old store is out of use, but the new one could not be opened to all: %w", err)
	}
	return nil
}

func (m *moving) tellAnew(p copying.Progress) {
	if p.Anew && m.told != nil {
		fmt.Fprintln(m.told, "the target had lost some of what was copied before: all was copied anew")
	}
}

const tellEvery = 2 * time.Second

func (m *moving) progress(p copying.Progress) {
	now := time.Now()
	if m.told == nil || now.Sub(m.lastTold) < tellEvery {
		return
	}
	if !m.lastTold.IsZero() {
		fmt.Fprintf(m.told, "%d records seen, %d copied\n", p.Seen, p.Copied)
	}
	m.lastTold = now
}

func (d moved) tell(out *output, abandoned bool) error {
	switch {
	case d.Closed:
		return out.act(d, "%s is in use again, and %s is not: what happened there since the copy, revocations too, is known nowhere else", d.From, d.To)
	case abandoned:
		return out.act(d, "%s is in use again; let no server have what was copied to %s", d.From, d.To)
	case d.Finished:
		return out.act(d, "%d records are at %s now (%d compared); the old store is kept as %s. Start the servers with --store %s, and the master key and issuer of before",
			d.Records, d.To, d.Compared, d.Kept, d.To)
	}
	return out.act(d, "%d of %d records copied to %s; run it again when you like, and last with --finish", d.Copied, d.Records, d.To)
}

func (m *moving) openSource(ctx context.Context) error {
	if m.from.onRedis() {
		return m.redisSource(ctx)
	}
	file, err := sqliteFile(m.from.Store.String())
	if err != nil {
		return err
	}
	if _, err := m.from.existing(); err != nil {
		if m.kept = m.leftAs(file); m.kept == "" {
			return err
		}
		file = m.kept
	}
	if err := ownStore(file, false); err != nil {
		return err
	}
	s, err := sqlite.OpenSource(file)
	if err != nil {
		return storeError(file, err)
	}
	retire := func(context.Context) (string, error) { return s.Retire(time.Now()) }
	if m.kept != "" {
		retire = func(context.Context) (string, error) { return m.kept, nil }
	}
	m.source = source{
		Source: s, name: file, id: s.ID(),
		hold:    func(context.Context) error { return s.Hold() },
		release: func(context.Context) error { return nil }, // with its lock
		back:    func(context.Context) error { return nil },
		retire:  retire,
		close:   s.Close,
	}
	return nil
}

// leftAs is the file that a run has put aside which was killed before it was done,
// empty if there is none.
func (m *moving) leftAs(file string) string {
	if _, err := os.Stat(m.journal()); err != nil || !m.finish {
		return ""
	}
	return sqlite.MovedAs(file, m.from.MarkFile.String())
}

func (m *moving) redisSource(ctx context.Context) error {
	s, err := m.openRedis(ctx, m.from, func(o *redis.Options) { o.Existing, o.Source = true, true })
	if errors.Is(err, redis.ErrNoStore) {
		return &awayError{"there is no store at " + redis.Redact(m.from.Store.String()), nil}
	} else if err != nil {
		return err
	}
	shown := redis.Redact(m.from.Store.String())
	m.source = source{
		Source: s, name: shown, id: s.ID(), movedTo: s.MovedTo(),
		hold:    func(ctx context.Context) error { return s.Hold(ctx, redis.Redact(m.to.Store.String())) },
		release: s.Release,
		back:    s.Return,
		retire:  func(ctx context.Context) (string, error) { return shown, s.Leave(ctx) },
		close:   s.Close,
	}
	return nil
}

func (m *moving) openRedis(ctx context.Context, s *Settings, as func(*redis.Options)) (*redis.Store, error) {
	o, err := s.redisOptions()
	if err != nil {
		return nil, err
	}
	as(&o)
	store, err := redis.Open(ctx, o)
	if errors.Is(err, storage.ErrUnavailable) {
		return nil, &awayError{"the store " + redis.Redact(s.Store.String()) + " is out of reach", err}
	}
	return store, err
}

func (m *moving) openTarget(ctx context.Context) error {
	if m.to.onRedis() {
		return m.redisTarget(ctx)
	}
	file, err := sqliteFile(m.to.Store.String())
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return err
	}
	if err := sqlite.Vacant(file); err != nil {
		return err
	}
	filling := sqlite.Filling(file)
	if _, err := os.Stat(m.journal()); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filling); err == nil {
			return fmt.Errorf("%s is left of another copy, whose journal is gone: remove it", filling)
		}
	}
	store, err := sqlite.Open(ctx, sqlite.Options{Path: filling, Apart: true})
	if err != nil {
		return storeError(filling, err)
	}
	reading, err := sqlite.OpenSource(filling)
	if err != nil {
		return errors.Join(storeError(filling, err), store.Close())
	}
	shut := sync.OnceValue(func() error { return errors.Join(reading.Close(), store.Close()) })
	m.target = target{
		Target: filled{store, reading}, name: file, close: shut,
		ready: func() error {
			if err := shut(); err != nil {
				return err
			}
			return sqlite.Consolidate(filling)
		},
		release: func(context.Context) error { return sqlite.Install(file) },
	}
	return nil
}

// filled is a file as it is written, and as it is read as a whole.
type filled struct {
	*sqlite.Store
	storage.Source
}

func (m *moving) redisTarget(ctx context.Context) error {
	s, err := m.openRedis(ctx, m.to, func(o *redis.Options) { o.Filling = m.source.id })
	shown := redis.Redact(m.to.Store.String())
	if errors.Is(err, redis.ErrFilled) {
		return fmt.Errorf("there is a store at %s already, or a copy of another one: name another Redis, database or --redis-prefix", shown)
	} else if err != nil {
		return err
	}
	m.target = target{Target: s, name: s.ID(), close: s.Close, ready: func() error { return nil }, release: s.Filled}
	return nil
}
