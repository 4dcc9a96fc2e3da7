package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wsauth/gateway"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
	"wsauth/login"
	"wsauth/store"
)

// retryAfter is the delay before ending the sessions of a user again after the
// store failed.
const retryAfter = time.Second

// A userFile is the users of "wsauth serve --users", and logs out those who
// change.
type userFile struct {
	*login.Users
	file    string
	watcher *config.Watcher
	seen    string // file with the users of the last run
	log     *slog.Logger

	pending   []string // users still to be logged out
	unwritten bool     // seen does not have the current users
	// The store has not recorded that somebody was logged out, so seen must
	// stay as it is.
	held bool
}

// begin ends the sessions of users who have changed since the last run, before
// the server accepts requests. If the last run had another kind of users, it
// ends all sessions. users is nil for the demonstration.
//
// If the store or the disk is full, the server still starts: the gateway holds
// the revocations, and the next run repeats them.
func begin(ctx context.Context, g *gateway.Gateway, users *userFile, seen string, log *slog.Logger) error {
	var changed []string
	everyone := false
	if users == nil {
		if _, err := os.Lstat(seen); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		everyone = true
	} else {
		var err error
		changed, err = users.OutdatedSince(seen)
		if everyone = errors.Is(err, fs.ErrNotExist); err != nil && !everyone {
			return fmt.Errorf("%w; remove it, which ends every login", err)
		}
	}
	durable, err := endChanged(ctx, g, users, changed, everyone)
	switch {
	case err != nil:
		return err
	case !durable:
		log.Warn("the next start will treat these users as changed, because the store could not record the end of their sessions")
		return nil
	}
	// The file is written last: if the process is killed before, the next run
	// finds the same changes and ends the sessions again.
	if users == nil {
		err = os.Remove(seen)
	} else {
		err = users.Remember(seen)
	}
	if err != nil {
		log.Error("the next start will treat these users as changed", "err", err)
	}
	return nil
}

// endChanged ends the sessions of users, or of everyone. durable is false if
// they have ended but the store could not record this.
func endChanged(ctx context.Context, g *gateway.Gateway, users *userFile, changed []string, everyone bool) (durable bool, err error) {
	durable = true
	if everyone {
		_, err = g.EndEveryone(ctx)
	}
	for _, name := range changed {
		if err == nil || errors.Is(err, store.ErrNotDurable) {
			durable = durable && err == nil
			err = users.end(ctx, g, name)
		}
	}
	if errors.Is(err, store.ErrNotDurable) {
		return false, nil
	}
	return durable, err
}

// part returns the user file as a part of the reloader.
func (u *userFile) part(g *gateway.Gateway, watch bool) *part {
	p := &part{name: "users", file: u.file}
	p.reload = func(ctx context.Context, how reloading) gateway.AdminReloaded { return u.reload(ctx, g, how) }
	p.settle = func(ctx context.Context) bool { return u.settle(ctx, g) }
	if watch {
		p.watchers = []*config.Watcher{u.watcher}
	}
	return p
}

// reload applies the users that the file has now, and logs out those who have
// changed.
func (u *userFile) reload(ctx context.Context, g *gateway.Gateway, how reloading) (done gateway.AdminReloaded) {
	const stay = "the users are unchanged"
	changes, err := u.Reload(how.confirmed)
	switch {
	case errors.Is(err, login.ErrUnconfirmed):
		u.log.Warn(stay+"; "+waits, "err", err)
		done.Unconfirmed = append(done.Unconfirmed, errtext.Of(err))
		return done
	case err != nil:
		u.log.Error(stay, "err", err)
		done.Faults = append(done.Faults, errtext.Of(err))
		return done
	}
	u.log.Info("users read", "users", u.Len(), "added", len(changes.Added), "changed", len(changes.Changed), "removed", len(changes.Removed))
	for _, name := range changes.Outdated() {
		if !slices.Contains(u.pending, name) {
			u.pending = append(u.pending, name)
		}
	}
	u.unwritten = true
	text := fmt.Sprintf("%s: read, with %s: %d added, %d with another password, %d removed",
		u.file, count(u.Len(), "user"), len(changes.Added), len(changes.Changed), len(changes.Removed))
	if u.settle(ctx, g) {
		done.Faults = append(done.Faults, fmt.Sprintf("%s: not all sessions of who has changed have ended; the server goes on trying", u.file))
	}
	done.Changed = append(done.Changed, text)
	return done
}

// settle logs out pending users, and then records the current users, so that
// the next run of the server finds those whom it could not log out. It reports
// whether some are left.
func (u *userFile) settle(ctx context.Context, g *gateway.Gateway) (again bool) {
	u.pending = slices.DeleteFunc(u.pending, func(name string) bool {
		err := u.end(ctx, g, name)
		// The gateway holds it, and writes it later.
		if errors.Is(err, store.ErrNotDurable) {
			u.held = true
			return true
		}
		return err == nil
	})
	if len(u.pending) > 0 {
		return true
	}
	if u.unwritten && !u.held {
		u.unwritten = false
		if err := u.Remember(u.seen); err != nil {
			u.log.Error("the next start will treat these users as changed", "err", err)
		}
	}
	return false
}

// end logs a user out everywhere.
func (u *userFile) end(ctx context.Context, g *gateway.Gateway, name string) error {
	sessions, sockets, err := g.EndUser(ctx, name)
	if err != nil {
		u.log.Error("cannot end the sessions of a user who has changed", "user", name, "err", err)
		return err
	}
	u.log.Info("user changed", "user", name, "sessions", sessions, "sockets", sockets)
	return nil
}

// openUsers opens the file of --users.
func openUsers(path, dir string, log *slog.Logger) (*userFile, error) {
	watcher := config.NewWatcher(path)
	users, err := login.OpenUsers(path)
	if err != nil {
		return nil, fmt.Errorf("--users: %w", err)
	}
	return &userFile{Users: users, file: path, watcher: watcher, seen: filepath.Join(dir, seenName), log: log}, nil
}
