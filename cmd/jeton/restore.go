package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"jeton/accounts"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/sqlite"
)

// A backup has forgotten what happened after it. Where the store that it
// replaces is there, sound and made of the same one, that is known: the store
// goes on from there, and the backup gives back only what was deleted since.
// Else nobody knows what was revoked, and all that may have been is.

// restoring is one restore under way.
type restoring struct {
	settings     *Settings
	from         string // the backup
	info         sqlite.Info
	master       *keys.MasterKey
	keepSessions bool
	log          *slog.Logger

	file string // the store
	done restored
}

// restored tells what a restore has done.
type restored struct {
	File string `json:"file"`
	From string `json:"from"`
	// Of is the time of the last change that the backup knows.
	Of time.Time `json:"backup_of"`
	// Replaced is where the store that was in place is kept.
	Replaced string `json:"replaced,omitempty"`
	// Forgotten says why what happened after the backup is not known; empty
	// when it is, and was kept.
	Forgotten string   `json:"forgotten,omitempty"`
	Sessions  string   `json:"sessions"` // kept or ended
	Users     []string `json:"users_back"`
	Clients   []string `json:"clients_back"`
	Taken     []string `json:"names_taken"`
}

func (a *app) storeRestore() *cobra.Command {
	var keepSessions, forgetNewer bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the store, and deal with what it has forgotten",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			r := &restoring{settings: s, keepSessions: keepSessions, log: s.logger(a.stderr, slog.LevelWarn)}
			if err := r.look(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := r.run(cmd.Context(), forgetNewer); err != nil {
				return err
			}
			return r.done.tell(&output{w: a.stdout, json: bool(s.JSON)})
		},
	}
	cmd.Flags().BoolVar(&forgetNewer, "forget-newer", false, "go back to the backup though the store in place is newer and sound")
	cmd.Flags().BoolVar(&keepSessions, "keep-sessions", false, "let the sessions of the backup go on though some may have been revoked since, or their refresh tokens stolen")
	return cmd
}

// look refuses what cannot be restored before anything is held or made.
func (r *restoring) look(ctx context.Context, from string) (err error) {
	if r.file, err = sqliteFile(r.settings.Store.String()); err != nil {
		return err
	}
	switch err := probe(ctx, r.settings.socketPath()); {
	case err == nil:
		return errors.New("a server runs on the store: end it, restore, and start it again")
	case !errors.Is(err, errNoServer):
		return err
	}
	if err := ownStore(r.file, true); err != nil {
		return err
	}
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("the backup cannot be read: %w", err)
	}
	if r.from, err = filepath.Abs(from); err != nil {
		return err
	}
	if r.file, err = filepath.Abs(r.file); err != nil {
		return err
	}
	if r.info, err = sqlite.Describe(r.from); err != nil {
		return err
	}
	r.master, err = r.settings.existingMasterKey()
	r.done = restored{File: r.file, From: r.from, Of: r.info.Written, Sessions: "kept", Users: []string{}, Clients: []string{}, Taken: []string{}}
	return err
}

// run makes the new store ready beside the old one, and puts it in its place
// last, so that an end on the way leaves the store that was there.
func (r *restoring) run(ctx context.Context, forgetNewer bool) error {
	place, err := sqlite.Replace(r.file, r.settings.MarkFile.String())
	if err != nil {
		return err
	}
	defer place.Close()
	base := r.from
	var why error
	if !forgetNewer {
		why = r.newer(ctx, place)
	}
	switch {
	case forgetNewer:
		r.done.Forgotten = "asked for with --forget-newer"
	case why != nil:
		r.done.Forgotten = plainWords(why)
	default:
		base = r.file
	}
	if err := place.Copy(ctx, base); err != nil {
		return err
	}
	if err := sound(ctx, place.Path, r.master); err != nil {
		return fmt.Errorf("%s cannot be restored and nothing was changed: %w", base, err)
	}
	if errors.Is(why, errForeign) {
		return errOlderKey
	}
	n, err := openNodeOn(ctx, r.settings, r.settings.issuer(nil), r.log, sqlite.Options{Path: place.Path, Apart: true})
	if err != nil {
		return err
	}
	if r.done.Forgotten == "" {
		err = r.bringBack(ctx, n, filepath.Dir(r.file))
	} else {
		err = r.forget(ctx, n)
	}
	now, timeErr := n.store.Now(ctx)
	n.close()
	if errors.Is(err, errNewerKey) {
		return err
	}
	if err := errors.Join(err, timeErr); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	r.done.Replaced, err = place.Finish(now)
	return err
}

// A key that does not open a file says nothing about the file: a rewrap has
// changed the key since, or it is the wrong one. A newer store is therefore
// never given up for that.
var (
	errForeign  = errors.New("the key ring does not open with this master key: give the one that it was sealed with by --master-key-file or JETON_MASTER_KEY")
	errNewerKey = errors.New("nothing was changed: the store in place is newer and opens with this master key, the backup does not, as one from before jeton key rewrap: leave the store as it is, or give it up for the backup with --forget-newer and the master key of the backup")
	errOlderKey = errors.New("nothing was changed: the backup opens with this master key, the newer store in place does not, as after jeton key rewrap: leave the store as it is, with its own key, or give it up for the backup with --forget-newer")
)

// sound refuses a file with faults.
func sound(ctx context.Context, file string, master *keys.MasterKey) error {
	check, err := examine(ctx, file, master)
	if err != nil {
		return err
	}
	if check.foreign {
		return errForeign
	}
	if err := check.fault(); err != nil && len(check.wrong) > 0 {
		return fmt.Errorf("%w; the first: %s", err, check.wrong[0])
	}
	return nil
}

// newer says why the store in place cannot tell what happened after the backup,
// or nil.
func (r *restoring) newer(ctx context.Context, place *sqlite.Replacement) error {
	if storeIdentity(r.from) == storeIdentity(r.file) {
		return errors.New("the store in place is the old copy itself")
	}
	is, err := place.InPlace()
	if err != nil {
		return err
	}
	if !is.Continues(r.info) {
		return errors.New("the store in place was not made of the one that the backup is of, or is older")
	}
	if err := sound(ctx, r.file, r.master); err != nil {
		return fmt.Errorf("the store in place is not sound: %w", err)
	}
	return nil
}

func (r *restoring) ending() grants.Ending {
	return grants.Ending{
		Reason: storage.ReasonStoreRestored, By: "operator",
		Note: fmt.Sprintf("from %s of %s", filepath.Base(r.from), r.info.Written.Format(time.RFC3339)),
	}
}

// bringBack gives the newer store what it has deleted since.
func (r *restoring) bringBack(ctx context.Context, n *node, dir string) error {
	tmp, err := os.MkdirTemp(dir, ".jeton-restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "backup.db")
	if err := sqlite.Copy(ctx, r.from, file); err != nil {
		return err
	}
	switch err := sound(ctx, file, r.master); {
	case errors.Is(err, errForeign):
		return errNewerKey
	case err != nil:
		return err
	}
	backend, err := sqlite.Open(ctx, sqlite.Options{Path: file, Apart: true})
	if err != nil {
		return err
	}
	old := storage.New(backend)
	defer old.Close()
	admin, e := n.accounts(), r.ending()
	act := accounts.Act{By: e.By, Note: "brought back, disabled, " + e.Note, Operator: true}
	users, takenUsers, err := admin.Users.BringBack(ctx, old, act)
	if err != nil {
		return err
	}
	clients, takenClients, err := admin.Clients.BringBack(ctx, old, act)
	if err != nil {
		return err
	}
	r.done.Users, r.done.Clients = append(r.done.Users, users...), append(r.done.Clients, clients...)
	r.done.Taken = append(append(r.done.Taken, takenUsers...), takenClients...)
	return n.grants.Restored(ctx, e)
}

// forget ends all that may have been revoked since the backup.
func (r *restoring) forget(ctx context.Context, n *node) error {
	if !r.keepSessions {
		r.done.Sessions = "ended"
	}
	err := n.grants.Forget(ctx, grants.Forgotten{
		Since: r.info.Written, Longest: time.Duration(maxLife["access-token-ttl"]), KeepSessions: r.keepSessions, Ending: r.ending(),
	})
	if err != nil {
		return err
	}
	return n.ring.StartOver(ctx, r.keepSessions)
}
