package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"wsauth/gateway"
	"wsauth/internal/keyfile"
	"wsauth/store"
)

const (
	// rememberedName is the file in the folder of the keys that says how far
	// the log of revocations has come. It is no key to the folder.
	rememberedName = "revocations.seen"

	// rememberEvery is how often that is written down while the log grows.
	rememberEvery = 10 * time.Second
)

// A remembered log is one whose place the folder of the keys knows: keys whose
// tokens were revoked must not be used with a store that has lost that.
//
// The log is written first and the place after it, so that a place that the
// log does not know means lost entries, wherever the server was killed.
type remembered struct {
	path string
	log  store.Revocations
	told *slog.Logger
	last store.Cursor // what the file has
}

// checkLost compares the log with what the folder of the keys remembers of it.
// It reports whether entries were lost: the file of the store was removed, or
// replaced by another or by an older copy. A folder that remembers nothing is
// that of a first start.
func (m *remembered) checkLost(ctx context.Context) (lost bool, err error) {
	text, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		m.told.Info("the folder of the keys remembers no store: what these keys had revoked elsewhere is not known here", "folder", filepath.Dir(m.path))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("what the folder of the keys remembers of the store: %w", err)
	}
	place, ok := parsePlace(string(text))
	if !ok {
		return true, nil
	}
	m.last = place
	_, err = m.log.Read(ctx, m.last)
	if errors.Is(err, store.ErrCursor) {
		m.last = store.Cursor{}
		return true, nil
	}
	return false, err
}

// remember writes down how far the log has come.
func (m *remembered) remember(ctx context.Context) error {
	cursor := m.last
	for {
		page, err := m.log.Read(ctx, cursor)
		if err != nil {
			return err
		}
		cursor = page.Next
		if len(page.Revocations) < store.MaxPage {
			break
		}
	}
	if cursor == m.last {
		return nil
	}
	if err := keyfile.Replace(m.path, fmt.Appendf(nil, "%s %d\n", cursor.Epoch, cursor.Sequence)); err != nil {
		return err
	}
	m.last = cursor
	return nil
}

// follow remembers the place until stop is called, and then once more.
func (m *remembered) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	failed := false
	try := func(ctx context.Context) {
		err := m.remember(ctx)
		if err != nil && !failed {
			m.told.Warn("cannot write down in the folder of the keys how far the revocations have come: a store that is lost is not noticed", "err", err)
		}
		failed = err != nil
	}
	try(ctx)
	following.Go(func() {
		ticker := time.NewTicker(rememberEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				try(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		following.Wait()
		try(context.WithoutCancel(ctx))
	}
}

// beginRemembered ends everything that began until now if revocations were
// lost, unless that is accepted, and remembers the log from then on.
func beginRemembered(ctx context.Context, g *gateway.Gateway, log store.Revocations, keys string, accept bool, told *slog.Logger) (stop func(), err error) {
	m := &remembered{path: filepath.Join(keys, rememberedName), log: log, told: told}
	lost, err := m.checkLost(ctx)
	switch {
	case err != nil:
		return nil, err
	case lost && accept:
		told.Warn("insecure: the store has lost revocations, and tokens that were revoked may be good again")
	case lost:
		told.Warn("the store is not the one that the folder of the keys remembers, and has lost revocations: all that began until now is revoked, and everybody has to log in again", "keys", keys)
		if _, err := g.EndEveryone(ctx); errors.Is(err, store.ErrNotDurable) {
			told.Error("the store does not take that; the next run revokes everything again", "err", err)
			return func() {}, nil
		} else if err != nil {
			return nil, err
		}
	}
	return m.follow(ctx), nil
}

// parsePlace reads a place of the log as the file has it, and reports whether
// it is one.
func parsePlace(text string) (store.Cursor, bool) {
	epoch, sequence, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseUint(sequence, 10, 64)
	return store.Cursor{Epoch: epoch, Sequence: n}, err == nil && epoch != ""
}
