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
	// DefaultLead is long enough for whoever has fetched the published keys to fetch them again.
	DefaultLead = time.Hour

	// DefaultOverlap is the default life of a refresh token, and a minute for clocks that differ.
	DefaultOverlap = 30*24*time.Hour + time.Minute
)

// GenerateOptions say what key [Generate] makes.
type GenerateOptions struct {
	// Algorithm is that of the key. Default: ES256, which is what nearly everybody can verify.
	Algorithm token.Algorithm

	// Lead is how long the key waits before it signs, so that everybody who verifies gets to know it. Default: [DefaultLead]; a
	// negative one is none. A key does not wait longer than another can sign.
	Lead time.Duration

	// Life is how long it counts from when it begins to sign. Default: for ever.
	Life time.Duration
}

// Generate adds a new key to the folder, which it makes if it is not there.
func Generate(ctx context.Context, dir string, o GenerateOptions) (Entry, error) {
	var e Entry
	err := change(ctx, dir, true, func(list []Entry) (err error) {
		e, err = generate(dir, list, o)
		return err
	})
	return e, err
}

// First makes a key that signs from now on, where the folder, which is made if it is not there, has none. It reports whether it did. A
// folder with keys it does not write to.
func First(ctx context.Context, dir string, alg token.Algorithm) (made bool, err error) {
	list, err := List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(list) > 0 {
		return false, err
	}
	err = change(ctx, dir, true, func(list []Entry) error {
		if len(list) > 0 { // another program was first
			return nil
		}
		made = true
		_, err := generate(dir, list, GenerateOptions{Algorithm: alg})
		return err
	})
	return made && err == nil, err
}

// RotateOptions say how [Rotate] replaces a key.
type RotateOptions struct {
	Algorithm token.Algorithm // as of GenerateOptions
	Lead      time.Duration   // likewise

	// Overlap is how long a key counts after another has taken its place: at least as long as the longest life of a token, or
	// tokens die early. Default: [DefaultOverlap].
	Overlap time.Duration
}

// A Rotation is what [Rotate] has done.
type Rotation struct {
	New     Entry
	Retired []Entry // the keys that have another expiry now, newest first
}

// Rotate adds a new key to the folder, which it makes if it is not there, and gives every older one that can sign an expiry: when the new
// one begins to sign, and Overlap later. One that is to expire earlier anyway stays as it is, and so do keys that only verify, for they
// are someone else's. A raw secret becomes a JWK, which has room for dates.
func Rotate(ctx context.Context, dir string, o RotateOptions) (Rotation, error) {
	overlap := cmp.Or(o.Overlap, DefaultOverlap).Truncate(time.Second)
	if overlap <= 0 {
		return Rotation{}, errors.New("keyring: the overlap is shorter than a second")
	}
	var done Rotation
	err := change(ctx, dir, true, func(list []Entry) (err error) {
		// The new key is first: if this ends here, there is one too many, and never one too few.
		done.New, err = generate(dir, list, GenerateOptions{Algorithm: o.Algorithm, Lead: o.Lead})
		if err != nil {
			return err
		}
		expires := done.New.NotBefore.Add(overlap)
		for _, e := range list {
			if !e.Key.CanSign() || e.NotBefore.After(done.New.NotBefore) || !e.Expires.IsZero() && !e.Expires.After(expires) {
				continue
			}
			if e, err = retire(dir, e, expires); err != nil {
				return err
			}
			done.Retired = append(done.Retired, e)
		}
		return nil
	})
	return done, err
}

// Prune removes the files of the keys that have expired, and returns those keys. With dry it removes nothing.
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

// change calls f with the keys of the folder while no other program changes them.
func change(ctx context.Context, dir string, create bool, f func([]Entry) error) error {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("keyring: make the folder: %w", err)
		}
	}
	if _, err := List(dir); err != nil { // before it writes there, were it only the lock
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
	for _, name := range c.replaced { // where a program was killed in retire; without the other file it would count again
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("keyring: %w", err)
		}
	}
	return f(entries(c.files))
}

// generate makes a key that is newer than all of list.
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

// retire gives a key an expiry.
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
