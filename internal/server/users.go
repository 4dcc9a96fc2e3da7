package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"wsauth/internal/adminapi"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
	"wsauth/internal/gateway"
	"wsauth/login"
	"wsauth/store"
)

// A userFile is the user file of a server. When it changes, the server ends the
// sessions of the users whose entries have changed.
type userFile struct {
	*login.Users
	file    string
	watcher *config.Watcher
	seen    string // the file with the users of the last run
	log     *slog.Logger

	shared *sharedUsers // nil unless several nodes share the store

	outdated []string // users whose sessions have not ended yet
	unsaved  bool     // seen does not have the current users

	// notDurable means that the store has not recorded the end of some
	// sessions, so seen must stay as it is.
	notDurable bool
}

// openUsers opens the user file, if there is one.
func (s *Server) openUsers(ctx context.Context) error {
	path := s.settings.Users
	if path == "" {
		return nil
	}
	watcher := config.NewWatcher(path)
	users, err := login.OpenUsers(path)
	if err != nil {
		return fmt.Errorf("--users: %w", err)
	}
	s.users = &userFile{Users: users, file: path, watcher: watcher, seen: filepath.Join(s.dir, seenName), log: s.log}
	if s.lease != nil {
		s.users.shared, err = newSharedUsers(ctx, path, s.lease, s.log)
	}
	return err
}

// endOutdated ends the sessions of users who have changed since the last run,
// before the server accepts requests. If the last run had another kind of
// users, it ends all sessions. users is nil for the demonstration. shared
// reports whether several nodes use the store. If they do and seen is missing,
// this node is new: no session ends, because all belong to the other nodes.
//
// If the store or the disk is full, the server still starts: the gateway holds
// the revocations, and the next run repeats them.
func endOutdated(ctx context.Context, g *gateway.Gateway, clock store.Clock, users *userFile, seen string, shared bool, log *slog.Logger) error {
	var changed []string
	everyone := false
	if users == nil {
		if !exists(seen) {
			return nil
		}
		everyone = true
	} else {
		var err error
		changed, err = users.OutdatedSince(seen)
		missing := errors.Is(err, fs.ErrNotExist)
		if err != nil && !missing {
			return fmt.Errorf("%w; remove the file, which ends all sessions", err)
		}
		everyone = missing && !shared
	}
	durable, err := endSessions(ctx, g, clock, users, changed, everyone)
	switch {
	case err != nil:
		return err
	case !durable:
		log.Warn("the next start will treat these users as changed, because the store could not record the end of their sessions")
		return nil
	}
	// The file is written last. If the process is killed before, the next run
	// finds the same changes and ends the sessions again.
	if users == nil {
		err = os.Remove(seen)
	} else {
		err = users.Remember(seen)
	}
	if err != nil {
		log.Error("the next start will treat these users as changed", "error", err)
	}
	return nil
}

// endSessions ends the sessions of users, or of everyone. durable is false if
// they have ended but the store could not record this.
func endSessions(ctx context.Context, g *gateway.Gateway, clock store.Clock, users *userFile, changed []string, everyone bool) (durable bool, err error) {
	durable = true
	if everyone {
		err = endEverything(ctx, g, clock)
	}
	for _, name := range changed {
		if store.InEffect(err) {
			durable = durable && !errors.Is(err, store.ErrNotDurable)
			err = users.endUser(ctx, g, name)
		}
	}
	if store.InEffect(err) {
		return durable && !errors.Is(err, store.ErrNotDurable), nil
	}
	return durable, err
}

// part returns the user file as a part of the reloader.
func (u *userFile) part(g *gateway.Gateway, watch bool) *part {
	p := &part{name: "users", file: u.file}
	p.reload = func(ctx context.Context, r reloadRequest) adminapi.Reloaded { return u.reload(ctx, g, r) }
	p.finish = func(ctx context.Context) bool { return u.finish(ctx, g) }
	if watch {
		p.watchers = []*config.Watcher{u.watcher}
	}
	return p
}

// reload applies the current content of the file, and ends the sessions of
// users who have changed.
func (u *userFile) reload(ctx context.Context, g *gateway.Gateway, r reloadRequest) (done adminapi.Reloaded) {
	const unchanged = "the users are unchanged"
	if u.shared != nil && !r.confirmed {
		if why := u.shared.refusal(ctx); why != "" {
			u.log.Warn(unchanged+"; "+needsConfirmation, "error", why)
			done.Unconfirmed = append(done.Unconfirmed, why)
			return done
		}
	}
	changes, err := u.Reload(r.confirmed)
	switch {
	case errors.Is(err, login.ErrUnconfirmed):
		u.log.Warn(unchanged+"; "+needsConfirmation, "error", err)
		done.Unconfirmed = append(done.Unconfirmed, errtext.Of(err))
		return done
	case err != nil:
		u.log.Error(unchanged, "error", err)
		done.Errors = append(done.Errors, errtext.Of(err))
		return done
	}
	if u.shared != nil {
		u.shared.applied(ctx)
	}
	u.log.Info("users read", "users", u.Len(), "added", len(changes.Added), "changed", len(changes.Changed), "removed", len(changes.Removed))
	for _, name := range changes.Outdated() {
		if !slices.Contains(u.outdated, name) {
			u.outdated = append(u.outdated, name)
		}
	}
	u.unsaved = true
	text := fmt.Sprintf("%s: read, with %s: %d added, %d with another password, %d removed",
		u.file, errtext.Count(u.Len(), "user"), len(changes.Added), len(changes.Changed), len(changes.Removed))
	if u.finish(ctx, g) {
		done.Errors = append(done.Errors, fmt.Sprintf("%s: some sessions of users who have changed have not ended; the server keeps trying", u.file))
	}
	done.Changed = append(done.Changed, text)
	return done
}

// finish reads the file again if the other nodes have read it in the meantime.
// It ends the sessions of outdated users. When all have ended, it saves the
// current users. Until then the saved users are the old ones, so that the next
// run of the server finds those who are outdated. finish reports whether it
// must be called again.
func (u *userFile) finish(ctx context.Context, g *gateway.Gateway) (again bool) {
	if u.shared != nil && u.shared.waiting && u.shared.refusal(ctx) == "" {
		u.reload(ctx, g, reloadRequest{})
	}
	u.outdated = slices.DeleteFunc(u.outdated, func(name string) bool {
		err := u.endUser(ctx, g, name)
		// The gateway holds the revocation, and writes it later.
		if errors.Is(err, store.ErrNotDurable) {
			u.notDurable = true
			return true
		}
		return store.InEffect(err)
	})
	if len(u.outdated) > 0 {
		return true
	}
	if u.unsaved && !u.notDurable {
		u.unsaved = false
		if err := u.Remember(u.seen); err != nil {
			u.log.Error("the next start will treat these users as changed", "error", err)
		}
	}
	return u.shared != nil && u.shared.waiting
}

// endUser ends all sessions of a user.
func (u *userFile) endUser(ctx context.Context, g *gateway.Gateway, name string) error {
	sessions, sockets, err := g.Login().EndUser(ctx, name)
	if err != nil {
		u.log.Error("cannot end the sessions of a user who has changed", "user", name, "error", err)
		return err
	}
	u.log.Info("user changed", "user", name, "sessions", sessions, "sockets", sockets)
	return nil
}
