package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"jeton/storage/sqlite"
)

// storeCommand looks after the store itself. Unlike the others its commands go
// to the file and not to the server. Backup and check neither change it nor
// mind who uses it, and a check of a damaged file, or of a backup, has no
// server to ask; restore, and the end of copy, want it for themselves.
func (a *app) storeCommand() *cobra.Command {
	return group(&cobra.Command{Use: "store", Short: "Back up the store, restore it, move it and look it over"},
		a.storeBackup(), a.storeRestore(), a.storeCopy(), a.storeCheck())
}

// existing is the file of a store that is there.
func (s *Settings) existing() (string, error) {
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0:
		return "", &awayError{fmt.Sprintf("there is no store at %s: name yours with --store", file), nil}
	case err != nil:
		return "", &awayError{"the store is out of reach: run this as the user that runs the server", err}
	}
	return file, nil
}

// elsewhere says where a store has gone, or what it waits for, in place of an
// error by which there is none.
func (s *Settings) elsewhere(absent error) error {
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return absent
	}
	if err := sqlite.Elsewhere(file, s.MarkFile.String()); err != nil {
		return &awayError{err.Error(), nil}
	}
	return absent
}

func (a *app) storeBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the store as it is at this moment to a new file, beside whoever uses it",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			file, err := s.existing()
			if err != nil {
				return s.elsewhere(err)
			}
			// Files that another user makes beside the store lock the server out.
			if err := ownStore(file, false); err != nil {
				return err
			}
			if err := sqlite.Backup(cmd.Context(), file, args[0]); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			out := &output{w: a.stdout, json: bool(s.JSON)}
			return out.act(map[string]any{"file": path, "bytes": info.Size()},
				"the store was written to %s (%d bytes); keep the master key elsewhere", path, info.Size())
		},
	}
}

func (a *app) storeCheck() *cobra.Command {
	var r raceFor
	cmd := &cobra.Command{
		Use:   "check [--race [--for DURATION] [--seed N]]",
		Short: "Look over every record and index of the store, without changing anything",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err == nil {
				err = r.fault()
			}
			switch {
			case err != nil:
				return err
			case r.on:
				return a.race(cmd.Context(), s, r)
			}
			return a.checkStore(cmd.Context(), s)
		},
	}
	cmd.Flags().BoolVar(&r.on, "race", false, "try instead whether the Redis, or the disk, keeps the promises when many ask at once")
	cmd.Flags().DurationVar(&r.length, "for", 0, "with --race, how long (20s)")
	cmd.Flags().Uint64Var(&r.seed, "seed", 0, "with --race, make the choices of that run again")
	return cmd
}

func (a *app) checkStore(ctx context.Context, s *Settings) error {
	file, err := s.existing()
	if err != nil {
		return s.elsewhere(err)
	}
	if err := ownStore(file, false); err != nil {
		return err
	}
	master, err := s.existingMasterKey()
	if err != nil {
		return err
	}
	check, err := examine(ctx, file, master)
	if err != nil {
		return err
	}
	out := &output{w: a.stdout, json: bool(s.JSON)}
	if err := out.checked(file, check.records, check.wrong); err != nil {
		return err
	}
	return check.fault()
}
