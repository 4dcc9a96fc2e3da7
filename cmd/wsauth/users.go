package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"wsauth/gateway"
)

// retryAfter is how long to wait before a user is ended again whom the store did not let end.
const retryAfter = time.Second

// A userFile is the users of "wsauth serve --users", and what becomes of those who change.
type userFile struct {
	*gateway.Users
	seen string // where the users of the last run are written down
	log  *slog.Logger
}

// begin ends, before the server takes any request, the sessions of users who have changed since its last run; and all of them where
// that run knew its users in another way. users is nil for the demonstration.
func begin(ctx context.Context, g *gateway.Gateway, users *userFile, seen string) error {
	if users == nil {
		if _, err := os.Lstat(seen); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		// The file goes last: where this is cut off in between, the next run finds it and ends them again.
		if _, err := g.EndEveryone(ctx); err != nil {
			return err
		}
		return os.Remove(seen)
	}
	changed, err := users.ChangedSince(seen)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := g.EndEveryone(ctx); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("%w; remove it, which ends every login", err)
	}
	for _, name := range changed {
		if err := users.end(ctx, g, name); err != nil {
			return err
		}
	}
	return users.Remember(seen)
}

// follow begins to read the file anew at each SIGHUP, which would otherwise end the process. It does so until ctx is done or stop is
// called, which returns when it has ended.
func (u *userFile) follow(ctx context.Context, g *gateway.Gateway) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	hangups, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				u.reload(ctx, g)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-ended
	}
}

func (u *userFile) reload(ctx context.Context, g *gateway.Gateway) {
	changed, err := u.Reload()
	if err != nil {
		u.log.Error("the users stay as they were", "err", err)
		return
	}
	u.log.Info("users read", "users", u.Len(), "changed", len(changed))
	for _, name := range changed {
		for u.end(ctx, g, name) != nil {
			select {
			case <-time.After(retryAfter):
			case <-ctx.Done():
				return // the next run finds out that the user has changed
			}
		}
	}
	if err := u.Remember(u.seen); err != nil {
		u.log.Error("the next run will take these users for changed", "err", err)
	}
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
	users, err := gateway.OpenUsers(path)
	if err != nil {
		return nil, fmt.Errorf("--users: %w", err)
	}
	return &userFile{users, filepath.Join(dir, seenName), log}, nil
}
