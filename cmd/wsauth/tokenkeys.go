package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/keyfile"
	"wsauth/internal/server"
	"wsauth/token"
	"wsauth/token/keyring"
)

// keysAt returns the path of the keys: named, or the default in the data
// folder.
func keysAt(named, data string) (string, error) {
	switch {
	case named != "" && data != "":
		return "", errors.New("--keys and --data: remove one of the two")
	case named != "":
		return named, nil
	}
	dir, err := server.DataFolder(data)
	if err != nil {
		return "", err
	}
	return server.KeyFolder("", dir), nil
}

// openSigner returns the ring of a folder, or the key in a file.
func openSigner(path string) (token.Signer, error) {
	if isFolder(path) {
		return openRing(path)
	}
	e, err := readKey(path)
	switch now := time.Now(); {
	case err != nil:
		return nil, err
	case !e.Key.CanSign():
		return nil, fmt.Errorf("%s is a public key, which cannot sign", path)
	case now.Before(e.NotBefore) || !e.Expires.IsZero() && !now.Before(e.Expires):
		return nil, fmt.Errorf("%s is not valid now, according to its dates", path)
	}
	return e.Key, nil
}

// openKeySource returns the ring of a folder, or the keys in a file.
func openKeySource(path string, log *slog.Logger) (token.KeySource, error) {
	if isFolder(path) {
		return openRing(path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if !isKeySet(data) {
		e, err := readKey(path)
		if err != nil {
			return nil, err
		}
		if !e.Expires.IsZero() && !time.Now().Before(e.Expires) {
			return nil, fmt.Errorf("%s has expired, according to its dates", path)
		}
		return token.NewKeySet(e.Key)
	}
	set, faults, err := token.ParseKeySet(data)
	if err == nil && slices.ContainsFunc(set.Keys(), func(k *token.Key) bool { return k.CanSign() }) {
		if data, err = readSecret(path); err == nil {
			set, faults, err = token.ParseKeySet(data)
		}
	}
	for _, fault := range faults {
		log.Warn("a key is left out", "file", path, "error", fault)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}

// openRing opens a folder of keys, which must not be empty.
func openRing(path string) (*keyring.Ring, error) {
	ring, err := keyring.Open(path, keyring.Options{})
	if err != nil {
		return nil, noKeys(path, err)
	}
	if len(ring.Entries()) == 0 {
		return nil, fmt.Errorf("no keys in %s; generate one: wsauth keys generate --keys=%s", path, path)
	}
	return ring, nil
}

// noKeys adds advice to the error of a missing key folder: how to create it.
func noKeys(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) && !isFolder(path) {
		return fmt.Errorf("%w; create it with: wsauth keys generate --keys=%s", err, path)
	}
	return err
}

// readKey reads a file with one key. If it can sign, the file must be
// protected as in a folder of keys.
func readKey(path string) (keyring.Entry, error) {
	data, err := readFile(path)
	if err != nil {
		return keyring.Entry{}, err
	}
	name := filepath.Base(path)
	e, err := keyring.Parse(name, data)
	if err != nil {
		return keyring.Entry{}, fmt.Errorf("%s: %w", path, err)
	}
	if !e.Key.CanSign() {
		return e, nil
	}
	if data, err = readSecret(path); err != nil {
		return keyring.Entry{}, err
	}
	return keyring.Parse(name, data)
}

// readSecret reads a file that must be protected as in a folder of keys.
func readSecret(path string) ([]byte, error) {
	in, err := keyfile.OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return in.Read(filepath.Base(path))
}

const maxKeyFile = 1 << 20 // of a JWK Set; single keys are shorter

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; locate the keys with --keys, or generate some: wsauth keys generate", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s is longer than 1 MiB, so it holds no keys", path)
	}
	return data, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isKeySet reports whether data is a JSON object with a member "keys".
func isKeySet(data []byte) bool {
	var set struct {
		Keys jsontext.Value `json:"keys"`
	}
	return json.Unmarshal(data, &set) == nil && set.Keys != nil
}

// keyNames returns a readable list of the keys of a source.
func keyNames(ctx context.Context, keys token.KeySource) string {
	set, err := keys.KeySet(ctx, "")
	if err != nil {
		return "unknown"
	}
	var names string
	for i, k := range set.Keys() {
		if i > 0 {
			names += ", "
		}
		if i == 8 {
			return names + "…"
		}
		names += fmt.Sprintf("%s %q", k.Algorithm(), k.ID())
	}
	return names
}
