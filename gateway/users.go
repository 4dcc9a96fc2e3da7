package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	hashing *hashQueue
	matches func(password.Hash, string) bool // for tests
	list    atomic.Pointer[password.List]
	reload  sync.Mutex
}

// OpenUsers reads a file of users. It refuses one that its group may write or anybody else may read, one with a line that is not
// understood, and one with a hash that is of another kind or would cost too much to check: the error names the line and says what
// to do.
func OpenUsers(path string) (*Users, error) {
	list, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	u := &Users{path: path, hashing: newHashQueue(min(maxHashing, runtime.GOMAXPROCS(0))), matches: password.Hash.Matches}
	u.list.Store(list)
	return u, nil
}

// Len is how many users there are.
func (u *Users) Len() int { return len(u.list.Load().Users()) }

// Authenticate is an [Authenticator]. A name that is not known takes as long
// as one that is. Few passwords are hashed at a time; where others wait, it
// waits for its turn until ctx is done, whose error it then returns. For
// requests of a [Gateway], networks take turns, known devices go first every
// other time, and who would wait too long is answered 429.
func (u *Users) Authenticate(ctx context.Context, name, pass string) (bool, error) {
	leave, err := u.hashing.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	hash, known := u.list.Load().Find(name)
	return u.matches(hash, pass) && known, nil
}

// readUsers reads a file of users. One that holds nothing at all is refused:
// its writer may have been stopped, or be about to write it.
func readUsers(path string) (*password.List, error) {
	list, err := password.ReadFile(path)
	if err == nil && list.Blank() {
		err = fmt.Errorf("%s is empty; add a user: wsauth user add %s NAME", path, path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("gateway: users: %w; add a first user: wsauth user add %s NAME", err, path)
	case err != nil:
		return nil, fmt.Errorf("gateway: users: %w", err)
	}
	return list, nil
}

// UserChanges says what [Users.Reload] has changed.
type UserChanges struct {
	Added, Changed, Removed []string // names; those of Changed have another hash
}

// Outdated returns the names of users who are gone or have another hash. Who
// logged in under one of them did so with what is no longer true, and is to be
// logged out; see [Gateway.EndUser].
func (c UserChanges) Outdated() []string { return password.Difference(c).Outdated() }

// ErrUnconfirmed means that a change was not carried out because it takes away
// so much that it may be a mistake, and nobody has confirmed it.
var ErrUnconfirmed = errors.New("the change was not confirmed")

// Reload reads the file anew. With an error the users stay as they were: where
// the file cannot be read, is empty or has a fault, and, as [ErrUnconfirmed],
// where more than half of the users would be gone. If confirmed is true, any
// number may be.
func (u *Users) Reload(confirmed bool) (UserChanges, error) {
	u.reload.Lock()
	defer u.reload.Unlock()
	next, err := readUsers(u.path)
	if err != nil {
		return UserChanges{}, err
	}
	now := u.list.Load()
	changes := now.Difference(next)
	if all := len(now.Users()); !confirmed && 2*len(changes.Removed) > all {
		return UserChanges{}, fmt.Errorf("gateway: users: %s would remove %d of %d users: %w", u.path, len(changes.Removed), all, ErrUnconfirmed)
	}
	u.list.Store(next)
	return UserChanges(changes), nil
}

// Remember writes down, for [Users.OutdatedSince], which users there are. It
// is a copy of their file, without comments, that only its owner can read.
func (u *Users) Remember(path string) error {
	if err := password.WriteFile(path, u.list.Load()); err != nil {
		return fmt.Errorf("gateway: users: %w", err)
	}
	return nil
}

// OutdatedSince returns the names of users who are gone, or have another hash,
// since [Users.Remember] wrote the file: users may change while no server
// runs. It fails with [fs.ErrNotExist] if nothing was written.
func (u *Users) OutdatedSince(path string) ([]string, error) {
	before, err := password.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gateway: users: %w", err)
	}
	return before.Difference(u.list.Load()).Outdated(), nil
}
