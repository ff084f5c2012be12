package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"jeton/keys"
	"jeton/storage"
)

// masterKey finds the key that seals all others. It makes one only for a store
// that holds nothing, so that a forgotten key is never papered over: all that
// the old one has sealed would be lost without a word.
func masterKey(ctx context.Context, s *Settings, store *storage.Store) (*keys.MasterKey, error) {
	if s.masterKey != "" || s.MasterKeyFile != "" {
		return keys.LoadMaster(s.MasterKeyFile.String(), s.masterKey)
	}
	path := filepath.Join(s.dataDir(), "master.key")
	master, err := keys.LoadMaster(path, "")
	if !errors.Is(err, fs.ErrNotExist) {
		return master, err
	}
	empty, err := isEmpty(ctx, store)
	if err != nil {
		return nil, err
	}
	if s.onRedis() {
		return nil, missingSharedKey(path, empty)
	}
	if !empty {
		// Another process may have made key and store since we looked.
		if master, err := keys.LoadMaster(path, ""); err == nil {
			return master, nil
		}
		return nil, fmt.Errorf("the master key of this store is missing: put %s back from where you keep it safe, or give it with --master-key-file or JETON_MASTER_KEY; nothing was changed", path)
	}
	master, err = keys.CreateMaster(path)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return keys.LoadMaster(path, "")
	}
	return master, err
}

// hasMasterKey reports whether a key lies where one would be made: it seals some
// store, or somebody has put it there for a new one.
func (s *Settings) hasMasterKey() bool {
	if s.masterKey != "" || s.MasterKeyFile != "" {
		return false
	}
	_, err := os.Stat(filepath.Join(s.dataDir(), "master.key"))
	return err == nil
}

// warnOfOpenKey tells that others on this machine may read the master key, or
// put another in its place. A group that may read it is one that was chosen, as
// by systemd and Kubernetes.
func (s *Settings) warnOfOpenKey(log *slog.Logger) {
	path := s.MasterKeyFile.String()
	if path == "" {
		path = filepath.Join(s.dataDir(), "master.key")
	}
	info, err := os.Stat(path)
	if s.masterKey != "" || err != nil || info.Mode().Perm()&0o027 == 0 {
		return
	}
	log.Warn("others than this user may read or replace the master key, which opens all that is sealed: mend that, and change the key if somebody may have read it: jeton key rewrap",
		"file", path, "mode", fmt.Sprintf("%04o", info.Mode().Perm()), "mend", closeKey(path, info))
}

// closeKey is the command that leaves the key to those who need it: what locked
// the server out would be no help.
func closeKey(path string, info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	groups, _ := os.Getgroups()
	switch {
	case ok && int(st.Uid) == os.Geteuid():
		return "chmod 600 " + quote(path)
	case ok && (int(st.Gid) == os.Getegid() || slices.Contains(groups, int(st.Gid))) && info.Mode()&0o040 != 0:
		return "chmod g-w,o= " + quote(path)
	}
	return fmt.Sprintf("chown %d %[2]s && chmod 600 %[2]s", os.Geteuid(), quote(path))
}

// existingMasterKey is the key of a store that is only looked at.
func (s *Settings) existingMasterKey() (*keys.MasterKey, error) {
	if s.masterKey != "" || s.MasterKeyFile != "" {
		return keys.LoadMaster(s.MasterKeyFile.String(), s.masterKey)
	}
	path := filepath.Join(s.dataDir(), "master.key")
	master, err := keys.LoadMaster(path, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no master key at %s: give the one of this store with --master-key-file or JETON_MASTER_KEY", path)
	}
	return master, err
}

// isEmpty reports whether the store holds neither keys nor accounts.
func isEmpty(ctx context.Context, store *storage.Store) (bool, error) {
	snap, err := store.Read(ctx, storage.KeyPartition, storage.RingKey)
	if err != nil {
		return false, err
	}
	if snap.Rows[0].Version != 0 {
		return false, nil
	}
	return hasNoAccounts(ctx, store)
}

// hasNoAccounts reports whether there are neither clients nor users.
func hasNoAccounts(ctx context.Context, store *storage.Store) (bool, error) {
	for _, index := range []string{storage.IndexClients, storage.IndexUsers} {
		page, err := store.List(ctx, storage.Query{Index: index, Limit: 1})
		if err != nil {
			return false, err
		}
		if len(page.Rows) > 0 {
			return false, nil
		}
	}
	return true, nil
}
