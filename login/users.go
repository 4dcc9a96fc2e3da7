package login

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

// maxHashing is the maximum number of passwords that are hashed at once. A
// machine with fewer processors hashes fewer. Each may take 256 MiB.
const maxHashing = 4

// Users are the users in a file of lines "name:hash", with hashes of argon2id
// ("wsauth user add") or bcrypt ("htpasswd -B"). Users implements
// [Authenticator] and is safe for concurrent use.
type Users struct {
	path    string
	hashing *hashQueue
	matches func(password.Hash, string) bool // for tests
	list    atomic.Pointer[password.List]
	reload  sync.Mutex
}

// OpenUsers reads a file of users. It refuses a file that its group can write
// or others can read, an invalid line, and a hash that is of another kind or
// too expensive to check. The error names the line and how to fix it.
func OpenUsers(path string) (*Users, error) {
	list, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	u := &Users{path: path, hashing: newHashQueue(min(maxHashing, runtime.GOMAXPROCS(0))), matches: password.Hash.Matches}
	u.list.Store(list)
	return u, nil
}

// Len returns the number of users.
func (u *Users) Len() int { return len(u.list.Load().Users()) }

// Authenticate reports whether password is that of the user called name. An
// unknown name takes as long as a known one. Only a few passwords are hashed at
// a time. Other calls wait for their turn; if ctx is done first, they return
// its error. For requests to a [Service], networks take turns, known devices
// get every other turn, and a client that would wait too long is answered with
// 429.
func (u *Users) Authenticate(ctx context.Context, name, pass string) (bool, error) {
	leave, err := u.hashing.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	hash, known := u.list.Load().Find(name)
	return u.matches(hash, pass) && known, nil
}

// readUsers reads a file of users. It refuses an empty file: the program that
// writes it may have been interrupted, or may still be writing.
func readUsers(path string) (*password.List, error) {
	list, err := password.ReadFile(path)
	if err == nil && list.Blank() {
		err = fmt.Errorf("%s is empty; add a user: wsauth user add %s NAME", path, path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("login: users: %w; add a first user: wsauth user add %s NAME", err, path)
	case err != nil:
		return nil, fmt.Errorf("login: users: %w", err)
	}
	return list, nil
}

// UserChanges are the changes of [Users.Reload].
type UserChanges struct {
	Added, Changed, Removed []string // names; Changed users have another hash
}

// Outdated returns the names of users who were removed or have another hash.
// Their sessions should end; see [Service.EndUser].
func (c UserChanges) Outdated() []string { return password.Difference(c).Outdated() }

// ErrUnconfirmed means that a change was not made because it would remove more
// than half of the users and was not confirmed. It may be a mistake.
var ErrUnconfirmed = errors.New("the change was not confirmed")

// Reload reads the file again. It fails if the file cannot be read, is empty or
// has an error. Unless confirmed is true, it also fails, with [ErrUnconfirmed],
// if more than half of the users would be removed. After an error the users are
// unchanged.
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
		return UserChanges{}, fmt.Errorf("login: users: %s would remove %d of %d users: %w", u.path, len(changes.Removed), all, ErrUnconfirmed)
	}
	u.list.Store(next)
	return UserChanges(changes), nil
}

// Remember writes the users to a file for [Users.OutdatedSince]: a copy of
// their file without comments. Only its owner can read it.
func (u *Users) Remember(path string) error {
	if err := password.WriteFile(path, u.list.Load()); err != nil {
		return fmt.Errorf("login: users: %w", err)
	}
	return nil
}

// OutdatedSince returns the names of users who were removed or got another hash
// since [Users.Remember] wrote the file at path. It detects changes that were
// made while no server was running. It fails with [fs.ErrNotExist] if there is
// no such file.
func (u *Users) OutdatedSince(path string) ([]string, error) {
	before, err := password.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("login: users: %w", err)
	}
	return before.Difference(u.list.Load()).Outdated(), nil
}
