package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"wsauth/internal/config"
	"wsauth/internal/keyfile"
	"wsauth/store"
	"wsauth/store/bolt"
	"wsauth/token"
	"wsauth/token/keyring"
)

// The files in the data folder.
const (
	keysName   = "keys"       // the key folder
	oldKeyName = "key.jwk"    // the only key of earlier versions
	storeName  = "store.db"   // sessions and revocations
	seenName   = "users.seen" // the users of the last run, unless they were the demonstration's
)

// DataFolder returns the path of the data folder: named, or from the
// environment, or the default of this user.
func DataFolder(named string) (string, error) {
	if named = cmp.Or(named, os.Getenv("WSAUTH_DATA")); named != "" {
		return named, nil
	}
	dir, err := userDataFolder()
	if err != nil {
		return "", fmt.Errorf("no data folder: %w; choose one with --data", err)
	}
	return dir, nil
}

// DefaultDataFolder returns the data folder of a server that does not set one,
// or "" if there is no default.
func DefaultDataFolder() string {
	dir, err := DataFolder("")
	if err != nil {
		return ""
	}
	return dir
}

// userDataFolder returns the folder for application data of this user:
// $XDG_DATA_HOME, by default ~/.local/share (XDG Base Directory
// Specification), or the system's folder on macOS and Windows.
func userDataFolder() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", errors.New("$XDG_DATA_HOME is not an absolute path")
		}
		return filepath.Join(dir, "wsauth"), nil
	}
	switch runtime.GOOS {
	case "darwin", "windows":
		dir, err := os.UserConfigDir()
		return filepath.Join(dir, "wsauth"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "wsauth"), err
}

// KeyFolder returns the path of the key folder: named, or the default in the
// data folder.
func KeyFolder(named, data string) string {
	return cmp.Or(named, filepath.Join(data, keysName))
}

// AdminSocket returns the path of the socket for operators: named, or the
// default in the data folder, or "" if it is off.
func AdminSocket(named, data string) string {
	if named == config.Off {
		return ""
	}
	return cmp.Or(named, filepath.Join(data, config.AdminSocketName))
}

// openData opens the data folder, with the keys and the store.
func (s *Server) openData(ctx context.Context) (err error) {
	if s.dir, err = DataFolder(s.settings.Data); err != nil {
		return err
	}
	if err := makeFolder(s.dir); err != nil {
		return err
	}
	url, err := s.settings.Store.ReadURL()
	switch {
	case err != nil:
		err = fmt.Errorf("store.url_file: %w", err)
	case url != "":
		err = s.openCluster(ctx, url)
	default:
		err = s.openLocal(ctx)
	}
	s.assembly.Tokens.Keys = s.keys
	return err
}

// openLocal opens the key folder, and the store in the data folder.
func (s *Server) openLocal(ctx context.Context) (err error) {
	if s.keys, err = openKeys(ctx, s.settings.Keys, s.dir, s.log); err != nil {
		return err
	}
	state, err := openStore(s.dir, s.settings.Store, KeyFolder(s.settings.Keys, s.dir), s.settings.InsecureAcceptLostRevocations)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, state.Close)
	s.assembly.Store = state
	return nil
}

// makeFolder creates the data folder if necessary. It fails if others can
// write to the folder.
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

// openKeys opens the key folder, and generates the first key if there is none.
func openKeys(ctx context.Context, named, data string, log *slog.Logger) (*keyring.Ring, error) {
	dir := KeyFolder(named, data)
	if named == "" {
		if err := adoptKey(data, dir); err != nil {
			return nil, err
		}
	}
	generated, err := keyring.First(ctx, dir, token.ES256)
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
	if generated {
		log.Info("the first key was generated", "folder", dir)
	}
	return ring, nil
}

// adoptKey moves the key of earlier versions into the key folder, so that
// sessions survive the upgrade.
func adoptKey(data, dir string) error {
	old, path := filepath.Join(data, oldKeyName), filepath.Join(dir, oldKeyName)
	if !exists(old) {
		return nil
	}
	if exists(path) {
		return fmt.Errorf("%s is from an earlier version, but %s also exists: remove the one that is not in use", old, path)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the key folder: %w", err)
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
// key folder. acceptLost reports whether lost revocations are accepted.
func openStore(dir string, limits config.Store, keys string, acceptLost bool) (*bolt.Store, error) {
	path := filepath.Join(dir, storeName)
	s, err := bolt.Open(path, store.Limits{
		Revocations: limits.MaxRevocations,
		Sessions:    limits.MaxSessions,
		Tickets:     limits.MaxTickets,
	})
	damage, damaged := errors.AsType[*bolt.DamageError](err)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		return nil, fmt.Errorf("another program, such as another wsauth, uses %s: stop it, or choose another folder with --data=DIR", path)
	case damaged:
		return nil, damageError(path, damage, newRecordFiles(keys, dir), acceptLost)
	case errors.Is(err, bolt.ErrFormat):
		return nil, fmt.Errorf("%s was written by another program or a later version of wsauth (%w): choose another folder with --data=DIR", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// damageError returns an error that says how to repair a damaged store. No
// repair restores the latest revocations. [recorder.checkLost] detects that
// they are lost, if there is a record of the store.
func damageError(path string, damage *bolt.DamageError, records recordFiles, acceptLost bool) error {
	after := "the next start then revokes everything that started before it, because revocations are lost either way"
	switch {
	case acceptLost:
		after = "then start without --insecure-accept-lost-revocations, or revoked tokens become valid again"
	case !records.exist():
		after = "then run wsauth revoke --everything, because revocations are lost either way and the key folder has no record of them"
	}
	return fmt.Errorf("%s is damaged (%s): restore a copy that passes wsauth data check, or move the file away to start with an empty store; %s", path, damage.What, after)
}

// A StoreState is the state of a store, as found by [CheckStore].
type StoreState string

// The states of a store.
const (
	StoreUnknown StoreState = "" // it cannot be read
	StoreOK      StoreState = "ok"
	StoreDamaged StoreState = "damaged"
	StoreInUse   StoreState = "in_use" // by a server, which has checked it
)

// A StoreCheck is the result of [CheckStore].
type StoreCheck struct {
	File   string
	State  StoreState
	Fault  string // why the store is damaged, or not checked
	Report bolt.Report

	// Lost means that the key folder records a later or a different store, so
	// the next start of the server revokes everything.
	Lost bool
}

// CheckStore verifies the store in the data folder dir, without changing it.
// Unless the state is StoreOK, the error says what to do.
func CheckStore(dir string) (StoreCheck, error) {
	return checkStore(dir, newRecordFiles(KeyFolder("", dir), dir))
}

func checkStore(dir string, records recordFiles) (c StoreCheck, err error) {
	c.File = filepath.Join(dir, storeName)
	c.Report, err = bolt.Check(c.File)
	damage, damaged := errors.AsType[*bolt.DamageError](err)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		c.State, c.Fault = StoreInUse, "a running server uses it, and checked it when it started"
		return c, fmt.Errorf("%s: %s; stop it to check the file again", c.File, c.Fault)
	case damaged:
		c.State, c.Fault = StoreDamaged, damage.What
		return c, damageError(c.File, damage, records, false)
	case err != nil:
		return c, err
	}
	lost, err := records.areNewer(func(position store.Cursor) (bool, error) {
		return position.Epoch == c.Report.Next.Epoch && position.Sequence <= c.Report.Next.Sequence, nil
	})
	c.State, c.Lost = StoreOK, lost && err == nil
	return c, nil
}
