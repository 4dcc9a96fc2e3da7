package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wsauth/internal/filelock"
	"wsauth/internal/keyfile"
	"wsauth/token"
)

const (
	// DefaultLead is the default of GenerateOptions.Lead. It gives verifiers
	// that cache the published keys enough time to fetch them again.
	DefaultLead = time.Hour

	// DefaultOverlap is the default of RotateOptions.Overlap: the default
	// lifetime of a refresh token, plus a minute for clock differences.
	DefaultOverlap = 30*24*time.Hour + time.Minute
)

// GenerateOptions are the options of [Generate].
type GenerateOptions struct {
	// Algorithm is the algorithm of the key. Default: ES256, which nearly all
	// verifiers support.
	Algorithm token.Algorithm

	// Lead is how long the key waits before it signs, so that all verifiers
	// can fetch it first. Default: [DefaultLead]; negative: none. The key
	// signs earlier if no other key can sign for that long.
	Lead time.Duration

	// Life is how long the key is valid after it begins to sign. Default: no
	// limit.
	Life time.Duration
}

// Generate adds a new key to the folder, which it creates if necessary.
func Generate(ctx context.Context, dir string, o GenerateOptions) (Entry, error) {
	var e Entry
	err := change(ctx, dir, true, func(list []Entry) (err error) {
		e, err = generate(dir, list, o)
		return err
	})
	return e, err
}

// First adds a key that signs from now on if the folder has no keys, and
// reports whether it did. It creates the folder if necessary. It does not
// write to a folder that has keys.
func First(ctx context.Context, dir string, alg token.Algorithm) (made bool, err error) {
	list, err := List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(list) > 0 {
		return false, err
	}
	err = change(ctx, dir, true, func(list []Entry) error {
		if len(list) > 0 { // another program was faster
			return nil
		}
		made = true
		_, err := generate(dir, list, GenerateOptions{Algorithm: alg})
		return err
	})
	return made && err == nil, err
}

// RotateOptions are the options of [Rotate].
type RotateOptions struct {
	Algorithm token.Algorithm // see GenerateOptions
	Lead      time.Duration   // see GenerateOptions

	// Overlap is how long an old key stays valid after the new one begins to
	// sign. It must be at least the longest lifetime of a token, or tokens
	// become invalid early. Default: [DefaultOverlap].
	Overlap time.Duration
}

// Rotate adds a new key to the folder, which it creates if necessary. Every
// older key that can sign expires Overlap after the new one begins to sign,
// unless it expires earlier. Keys that can only verify are left alone, since
// they belong to another issuer. A raw secret is converted to a JWK, which can
// hold an expiry. Rotate returns the new key, and the keys with a new expiry,
// newest first.
func Rotate(ctx context.Context, dir string, o RotateOptions) (made Entry, retired []Entry, err error) {
	overlap := cmp.Or(o.Overlap, DefaultOverlap).Truncate(time.Second)
	if overlap <= 0 {
		return Entry{}, nil, errors.New("keyring: the overlap is shorter than a second")
	}
	err = change(ctx, dir, true, func(list []Entry) (err error) {
		// The new key is written first: if the program is killed here, there
		// is one key too many, not one too few.
		made, err = generate(dir, list, GenerateOptions{Algorithm: o.Algorithm, Lead: o.Lead})
		if err != nil {
			return err
		}
		expires := made.NotBefore.Add(overlap)
		for _, e := range list {
			if !e.Key.CanSign() || e.NotBefore.After(made.NotBefore) || !e.Expires.IsZero() && !e.Expires.After(expires) {
				continue
			}
			if e, err = retire(dir, e, expires); err != nil {
				return err
			}
			retired = append(retired, e)
		}
		return nil
	})
	return made, retired, err
}

// Prune deletes the files of expired keys and returns these keys. If dry is
// set, it deletes nothing.
func Prune(ctx context.Context, dir string, dry bool) ([]Entry, error) {
	var dead []Entry
	find := func(list []Entry) error {
		now := time.Now()
		dead = slices.DeleteFunc(list, func(e Entry) bool { return !e.expired(now) })
		return nil
	}
	if dry {
		list, err := List(dir)
		return dead, errors.Join(err, find(list))
	}
	err := change(ctx, dir, false, func(list []Entry) error {
		err := find(list)
		for _, e := range dead {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.File)))
		}
		return err
	})
	return dead, err
}

// change calls f with the keys of the folder. It locks the folder against
// changes by other programs.
func change(ctx context.Context, dir string, create bool, f func([]Entry) error) error {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("keyring: create the folder: %w", err)
		}
	}
	// Fail before anything is written, even the lock file.
	if _, err := List(dir); err != nil {
		return err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return fmt.Errorf("keyring: change %s: %w", dir, err)
	}
	defer unlock()
	c, err := read(dir, nil)
	if err != nil {
		return err
	}
	// A program that was killed in retire has left these secrets. If the
	// replacement of one were deleted, the secret would become valid again.
	for _, name := range c.replaced {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("keyring: %w", err)
		}
	}
	return f(entries(c.files))
}

// generate creates a key that is newer than all keys in list.
func generate(dir string, list []Entry, o GenerateOptions) (Entry, error) {
	if o.Life < 0 {
		return Entry{}, errors.New("keyring: the life of the key is negative")
	}
	key, err := token.GenerateKey(cmp.Or(o.Algorithm, token.ES256))
	if err != nil {
		return Entry{}, fmt.Errorf("keyring: %w", err)
	}
	now := time.Now().Truncate(time.Second)
	e := Entry{Key: key, File: key.ID() + endingJWK, NotBefore: now}
	e.NotBefore = signedUntil(list, now, now.Add(max(0, cmp.Or(o.Lead, DefaultLead)))).Truncate(time.Second)
	for slices.ContainsFunc(list, func(other Entry) bool { return other.Key.CanSign() && other.NotBefore.Equal(e.NotBefore) }) {
		e.NotBefore = e.NotBefore.Add(time.Second)
	}
	if o.Life > 0 {
		e.Expires = e.NotBefore.Add(max(time.Second, o.Life.Truncate(time.Second)))
	}
	if err := keyfile.Create(filepath.Join(dir, e.File), format(e)); err != nil {
		return Entry{}, fmt.Errorf("keyring: %w", err)
	}
	return e, nil
}

// retire sets the expiry of a key.
func retire(dir string, e Entry, expires time.Time) (Entry, error) {
	folder, err := keyfile.OpenFolder(dir)
	if err != nil {
		return e, fmt.Errorf("keyring: %w", err)
	}
	defer folder.Close()
	data, err := folder.Read(e.File)
	if err != nil {
		return e, fmt.Errorf("keyring: %w", err)
	}
	name, data, err := withExpiry(e, data, expires)
	if err != nil {
		return e, fmt.Errorf("keyring: %w", err)
	}
	path, old := filepath.Join(dir, name), filepath.Join(dir, e.File)
	e.File, e.Expires = name, expires
	if path == old {
		if err := keyfile.Replace(path, data); err != nil {
			return e, fmt.Errorf("keyring: %w", err)
		}
		return e, nil
	}
	if err := keyfile.Create(path, data); err != nil {
		return e, fmt.Errorf("keyring: %w", err)
	}
	if err := os.Remove(old); err != nil {
		return e, fmt.Errorf("keyring: %w", err)
	}
	return e, nil
}
