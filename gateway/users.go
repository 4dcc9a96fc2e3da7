package gateway

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"wsauth/internal/password"
)

// maxHashing is how many passwords are hashed at once, at most, and no more than there are processors: each may hold 256 MiB.
const maxHashing = 4

// Users are those of a file, which holds one "name:hash" a line, with hashes of argon2id ("wsauth user add") or bcrypt ("htpasswd
// -B"). [Users.Authenticate] is an [Authenticator]. It is safe for concurrent use.
type Users struct {
	path    string
	hashing chan struct{} // holds a value for each password that is being hashed
	list    atomic.Pointer[password.List]
	reload  sync.Mutex
}

// OpenUsers reads a file of users. It refuses one that its group may write or anybody else may read, one with a line that is not
// understood, and one with a hash that is of another kind or would cost too much to check: the error names the line and says what
// to do.
func OpenUsers(path string) (*Users, error) {
	list, err := password.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gateway: users: %w", err)
	}
	u := &Users{path: path, hashing: make(chan struct{}, min(maxHashing, runtime.GOMAXPROCS(0)))}
	u.list.Store(list)
	return u, nil
}

// Len is how many users there are.
func (u *Users) Len() int { return len(u.list.Load().Users()) }

// Authenticate is an [Authenticator]. A name that is not known takes as long as one that is. Few passwords are hashed at a time;
// where others wait, it waits for its turn until ctx is done, whose error it then returns.
func (u *Users) Authenticate(ctx context.Context, name, pass string) (bool, error) {
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return false, fmt.Errorf("gateway: users: too many passwords are being checked: %w", ctx.Err())
	}
	hash, known := u.list.Load().Find(name)
	return hash.Matches(pass) && known, nil
}

// Reload reads the file anew, and returns the names of the users who are gone or have another hash: who logged in under one of
// them did so with what is no longer true, and is to be logged out; see [Gateway.EndUser]. Where the file cannot be read, or has a
// fault, the users stay as they were.
func (u *Users) Reload() (changed []string, err error) {
	u.reload.Lock()
	defer u.reload.Unlock()
	next, err := password.ReadFile(u.path)
	if err != nil {
		return nil, fmt.Errorf("gateway: users: %w", err)
	}
	return u.list.Swap(next).Changed(next), nil
}

// Remember writes down, for [Users.ChangedSince], which users there are. It is a copy of their file, without comments, that only
// its owner can read.
func (u *Users) Remember(path string) error {
	if err := password.WriteFile(path, u.list.Load()); err != nil {
		return fmt.Errorf("gateway: users: %w", err)
	}
	return nil
}

// ChangedSince returns what [Users.Reload] would have, had it been called when the file that [Users.Remember] wrote was the last
// that was known: users may change while no server runs. It is an [fs.ErrNotExist] when nothing was written.
func (u *Users) ChangedSince(path string) ([]string, error) {
	before, err := password.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gateway: users: %w", err)
	}
	return before.Changed(u.list.Load()), nil
}
