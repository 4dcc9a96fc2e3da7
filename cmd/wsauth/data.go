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

// The files in the data folder.
const (
	keysName  = "keys"     // folder of the keys that sign tokens
	oldName   = "key.jwk"  // the only key of earlier versions
	storeName = "store.db" // sessions and revocations
	// Users of the last run, except the demonstration's.
	seenName = "users.seen"
)

// folder returns the data folder: named, or from the environment, or the
// default of this user.
func folder(named string) (string, error) {
	if named = cmp.Or(named, os.Getenv("WSAUTH_DATA")); named != "" {
		return named, nil
	}
	dir, err := dataDir()
	if err != nil {
		return "", fmt.Errorf("no data folder: %w; choose one with --data", err)
	}
	return dir, nil
}

// defaultFolder returns the data folder of a server that does not set one, or
// "".
func defaultFolder() string {
	dir, err := folder("")
	if err != nil {
		return ""
	}
	return dir
}

// makeFolder creates the data folder if necessary, and refuses one that others
// can write to.
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

// keyFolder returns the key folder: named, or the default in the data folder.
func keyFolder(named, data string) string {
	if named != "" {
		return named
	}
	return filepath.Join(data, keysName)
}

// openKeys opens the key folder, and generates the first key if there is none.
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
		log.Info("the first key was generated", "folder", dir)
	}
	return ring, nil
}

// adoptKey moves the key of earlier versions into the key folder, so that
// sessions survive the upgrade.
func adoptKey(data, dir string) error {
	old, path := filepath.Join(data, oldName), filepath.Join(dir, oldName)
	if !exists(old) {
		return nil
	}
	if exists(path) {
		return fmt.Errorf("%s is from an earlier version, but %s also exists: remove the one that is not in use", old, path)
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

// openStore opens the store in the data folder, which must exist. keys is the
// key folder. accept tells that lost revocations are accepted.
func openStore(dir string, limits config.Store, keys string, accept bool) (*bolt.Store, error) {
	path := filepath.Join(dir, storeName)
	s, err := bolt.Open(path, bolt.Options{Limits: store.Limits{
		Revocations: limits.MaxRevocations,
		Sessions:    limits.MaxSessions,
		Tickets:     limits.MaxTickets,
	}})
	damage, damaged := errors.AsType[*bolt.DamageError](err)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		return nil, fmt.Errorf("another program, such as another wsauth, uses %s: stop it, or choose another folder with --data=DIR", path)
	case damaged:
		return nil, fmt.Errorf("%s is damaged (%s): %s", path, damage.What, cure(newMemory(keys, dir), accept))
	case errors.Is(err, bolt.ErrFormat):
		return nil, fmt.Errorf("%s was written by another program or a later version of wsauth (%w): choose another folder with --data=DIR", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// cure tells what to do about a damaged store. Neither way restores the latest
// revocations; [beginRemembered] detects that if the key folder has a record
// of the store.
func cure(m memory, accept bool) string {
	after := "the next start then revokes everything that began before it, because revocations are lost either way"
	switch {
	case accept:
		after = "then start without --insecure-accept-lost-revocations, or revoked tokens become valid again"
	case !m.exists():
		after = "then run wsauth revoke --everything, because revocations are lost either way and the key folder has no record of them"
	}
	return "restore a copy that passes wsauth data check, or move the file away to start with an empty store; " + after
}
