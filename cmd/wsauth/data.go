package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"wsauth/internal/config"
	"wsauth/internal/keyfile"
	"wsauth/store"
	"wsauth/store/bolt"
	"wsauth/token"
	"wsauth/token/keyring"
)

// The files of the data folder.
const (
	keysName  = "keys"       // the folder of the keys that sign the tokens
	oldName   = "key.jwk"    // the one key of earlier versions
	storeName = "store.db"   // sessions, and what was revoked
	seenName  = "users.seen" // the users of the last run; none of the demonstration
)

// folder is the data folder: the one that was named, that of the environment, or this user's own place.
func folder(named string) (string, error) {
	if named = cmp.Or(named, os.Getenv("WSAUTH_DATA")); named != "" {
		return named, nil
	}
	dir, err := dataDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the data: %w; name one with --data", err)
	}
	return dir, nil
}

// defaultFolder is the data folder of a server for which none is named; "" if
// there is none.
func defaultFolder() string {
	dir, err := folder("")
	if err != nil {
		return ""
	}
	return dir
}

// makeFolder makes the data folder where there is none, and refuses one that others may write to.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	f, err := keyfile.OpenFolder(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// keyFolder is the folder of the keys: the one that was named, or that of the data folder.
func keyFolder(named, data string) string {
	if named != "" {
		return named
	}
	return filepath.Join(data, keysName)
}

// openKeys opens the folder of the keys, and makes the first key where there is none.
func openKeys(ctx context.Context, named, data string, log *slog.Logger) (*keyring.Ring, error) {
	dir := keyFolder(named, data)
	if named == "" {
		if err := adoptKey(data, dir); err != nil {
			return nil, err
		}
	}
	made, err := keyring.First(ctx, dir, token.ES256)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Open(dir, keyring.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	if _, err := ring.SigningKey(); err != nil {
		return nil, err
	}
	if made {
		log.Info("a first key was made", "folder", dir)
	}
	return ring, nil
}

// adoptKey moves the one key of earlier versions into the folder of the keys, so that its logins stay.
func adoptKey(data, dir string) error {
	old, path := filepath.Join(data, oldName), filepath.Join(dir, oldName)
	if !exists(old) {
		return nil
	}
	if exists(path) {
		return fmt.Errorf("%s is from an earlier version, and %s is there too: remove the one that is not in use", old, path)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the keys: %w", err)
	}
	if err := os.Rename(old, path); err != nil {
		return fmt.Errorf("move the key of an earlier version: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// openStore opens the store of the data folder, which is there. keys is the
// folder of the keys, and accept says that lost revocations are accepted.
func openStore(dir string, limits config.Store, keys string, accept bool) (*bolt.Store, error) {
	path := filepath.Join(dir, storeName)
	s, err := bolt.Open(path, bolt.Options{Limits: store.Limits{
		Revocations: limits.MaxRevocations,
		Families:    limits.MaxSessions,
		Tickets:     limits.MaxTickets,
	}})
	damage, damaged := errors.AsType[*bolt.DamageError](err)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		return nil, fmt.Errorf("another program, such as another wsauth, uses %s: stop it, or give this server a folder of its own with --data=DIR", path)
	case damaged:
		return nil, fmt.Errorf("%s is damaged (%s): %s", path, damage.What, cure(newMemory(keys, dir), accept))
	case errors.Is(err, bolt.ErrFormat):
		return nil, fmt.Errorf("%s is of another program or of a later version of wsauth (%w): name another folder with --data=DIR", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// cure says what to do about a damaged store. Neither way brings back what was
// revoked last, which [beginRemembered] sees where the folder of the keys
// remembers the store.
func cure(m memory, accept bool) string {
	after := "that start revokes all that began until then, since revocations are lost either way"
	switch {
	case accept:
		after = "leave out --insecure-accept-lost-revocations then, or tokens that were revoked are good again"
	case !m.exists():
		after = "run wsauth revoke --everything then, since revocations are lost either way and the folder of the keys does not remember them"
	}
	return "put back a copy that wsauth data check finds no fault with, or move the file away to begin with an empty store; " + after
}
