package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"wsauth/internal/keyfile"
	"wsauth/store/bolt"
	"wsauth/token"
)

// The files of the data folder.
const (
	keyName   = "key.jwk"    // signs the tokens
	storeName = "store.db"   // sessions, and what was revoked
	seenName  = "users.seen" // the users of the last run; none of the demonstration
)

// folder is the data folder: the one that was named, or this user's own place.
func folder(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	dir, err := dataDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the data: %w; name one with --data", err)
	}
	return dir, nil
}

// loadKey reads the signing key of the data folder, or makes it and the folder.
func loadKey(dir string) (*token.Key, error) {
	path := filepath.Join(dir, keyName)
	data, _, err := keyfile.LoadOrCreate(path, newKey)
	if err != nil {
		return nil, err
	}
	key, err := token.ParseJWK(data, token.KeyOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s holds no key: %w; remove it to have a new one made, which ends every login", path, err)
	}
	return key, nil
}

// newKey makes a random key as a JSON Web Key.
func newKey() ([]byte, error) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		return nil, err
	}
	return key.JWK(), nil
}

// openStore opens the store of the data folder, which is there.
func openStore(dir string) (*bolt.Store, error) {
	path := filepath.Join(dir, storeName)
	s, err := bolt.Open(path, bolt.Options{})
	switch {
	case errors.Is(err, bolt.ErrLocked):
		return nil, fmt.Errorf("another program, such as another wsauth, uses %s: stop it, or give this server a folder of its own with --data=DIR", path)
	case err != nil:
		return nil, fmt.Errorf("%s: %w; if it is broken, remove it to have a new one made, which ends every login", path, err)
	}
	return s, nil
}
