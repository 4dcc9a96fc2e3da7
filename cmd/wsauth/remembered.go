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
	// rememberedName is the name of the file that records the position of the
	// revocation log. The key folder does not treat it as a key.
	rememberedName = "revocations.seen"

	// rememberEvery is the minimum interval between writes of the file.
	rememberEvery = 10 * time.Second
)

// A memory locates the files that record the position of the revocation log.
//
// The file is in the key folder, because keys whose tokens were revoked must
// not be used with a store that has lost the revocations. If the key folder is
// not writable, for example because it is a mounted secret, the file is in the
// data folder. There it can at least detect that the store was removed or
// replaced by an older copy.
type memory struct{ keys, data string }

func newMemory(keys, data string) memory {
	return memory{filepath.Join(keys, rememberedName), filepath.Join(data, rememberedName)}
}

// exists reports whether there is a record.
func (m memory) exists() bool { return exists(m.keys) || exists(m.data) }

// isLost reports whether a log has lost entries since its position was
// recorded. isKnown reports whether the log knows a position. A file in the
// data folder exists only while the one in the key folder cannot be written,
// and takes precedence, because the other may belong to another store.
func (m memory) isLost(isKnown func(store.Cursor) (bool, error)) (lost bool, err error) {
	var newest store.Cursor
	for _, file := range []string{m.data, m.keys} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("the record of the store: %w", err)
		}
		place, ok := parsePlace(string(text))
		if newest.Epoch != "" && place.Epoch != newest.Epoch {
			continue
		}
		if known, err := isKnown(place); err != nil || !known || !ok {
			return err == nil, err
		}
		newest = place
	}
	return false, nil
}

// write records a position, and reports whether it is in the key folder.
func (m memory) write(place store.Cursor) (beside bool, err error) {
	line := fmt.Appendf(nil, "%s %d\n", place.Epoch, place.Sequence)
	err = keyfile.Replace(m.keys, line)
	if err == nil {
		if err := os.Remove(m.data); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
		return true, nil
	}
	if keyfile.Replace(m.data, line) != nil {
		return false, err
	}
	return false, nil
}

// A remembered is a log whose position is recorded.
//
// The position is recorded after the log has been written, so a recorded
// position that the log does not know means lost entries, no matter when the
// server was killed.
type remembered struct {
	memory memory
	log    store.Revocations
	told   *slog.Logger
	last   store.Cursor // the recorded position
	apart  bool         // recorded in the data folder
}

// checkLost compares the log with the record. It reports whether entries were
// lost, because the store was removed or replaced by another or an older copy.
// If there is no record, this is the first start.
func (m *remembered) checkLost(ctx context.Context) (lost bool, err error) {
	if !m.memory.exists() {
		m.told.Info("the key folder has no record of a store: revocations made elsewhere with these keys are unknown here", "folder", filepath.Dir(m.memory.keys))
		return false, nil
	}
	return m.memory.isLost(func(place store.Cursor) (bool, error) {
		if place == (store.Cursor{}) { // the record is unreadable
			return false, nil
		}
		switch _, err := m.log.Read(ctx, place); {
		case errors.Is(err, store.ErrCursor):
			return false, nil
		case err != nil:
			return false, err
		}
		m.last = place
		return true, nil
	})
}

// remember records the current position of the log.
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
	beside, err := m.memory.write(cursor)
	if err != nil {
		return err
	}
	if !beside && !m.apart {
		m.told.Info("the key folder is not writable, so the state of the revocations is recorded in the data folder: if all of that is lost, this cannot be detected",
			"folder", filepath.Dir(m.memory.data))
	}
	m.last, m.apart = cursor, !beside
	return nil
}

// follow records the position periodically until stop is called, and then once
// more.
func (m *remembered) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	failed := false
	try := func(ctx context.Context) {
		err := m.remember(ctx)
		if err != nil && !failed {
			m.told.Warn("cannot record the state of the revocations: a lost store would not be detected", "err", err)
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

// beginRemembered revokes everything that began before now if revocations were
// lost, unless accept is set. It then records the position of the log until
// stop is called.
func beginRemembered(ctx context.Context, g *gateway.Gateway, log store.Revocations, in memory, accept bool, told *slog.Logger) (stop func(), err error) {
	m := &remembered{memory: in, log: log, told: told}
	lost, err := m.checkLost(ctx)
	switch {
	case err != nil:
		return nil, err
	case lost && accept:
		told.Warn("insecure: the store has lost revocations, and revoked tokens may be valid again")
	case lost:
		told.Warn("the store is not the one that the key folder records, and has lost revocations: everything that began before now is revoked, and all users must log in again", "keys", filepath.Dir(in.keys))
		if _, err := g.EndEveryone(ctx); errors.Is(err, store.ErrNotDurable) {
			told.Error("the store could not record this; the next start revokes everything again", "err", err)
			return func() {}, nil
		} else if err != nil {
			return nil, err
		}
	}
	return m.follow(ctx), nil
}

// parsePlace parses a recorded position, and reports whether it is valid.
func parsePlace(text string) (store.Cursor, bool) {
	epoch, sequence, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseUint(sequence, 10, 64)
	return store.Cursor{Epoch: epoch, Sequence: n}, err == nil && epoch != ""
}
