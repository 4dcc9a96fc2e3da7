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
	// rememberedName names the file that says how far the log of revocations
	// has come. The folder of the keys does not take it for a key.
	rememberedName = "revocations.seen"

	// rememberEvery bounds how often the file is written while the log grows.
	rememberEvery = 10 * time.Second
)

// A memory names the files that say how far the log of revocations has come.
// The file lies beside the keys, since keys whose tokens were revoked must not
// be used with a store that has lost that. If the folder of the keys cannot be
// written to, such as a mounted secret, the file lies beside the store, and
// tells at least that the store was removed or is an older copy.
type memory struct{ keys, data string } // files

func newMemory(keys, data string) memory {
	return memory{filepath.Join(keys, rememberedName), filepath.Join(data, rememberedName)}
}

// exists reports whether anything is remembered.
func (m memory) exists() bool { return exists(m.keys) || exists(m.data) }

// isLost reports whether a log has lost entries since its place was written
// down. isKnown says whether the log knows a place. A file beside the store
// exists only while the one beside the keys cannot be written, and counts
// before it: the other may be that of another store.
func (m memory) isLost(isKnown func(store.Cursor) (bool, error)) (lost bool, err error) {
	var newest store.Cursor
	for _, file := range []string{m.data, m.keys} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("what is remembered of the store: %w", err)
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

// write writes a place down, and reports whether the folder of the keys has
// it.
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

// A remembered log is one whose place is written down.
//
// The log is written first and the place after it, so that a place that the
// log does not know means lost entries, wherever the server was killed.
type remembered struct {
	memory memory
	log    store.Revocations
	told   *slog.Logger
	last   store.Cursor // what was written down
	apart  bool         // in the folder of the data
}

// checkLost compares the log with what is remembered of it. It reports whether
// entries were lost: the file of the store was removed, or replaced by another
// or by an older copy. Where nothing is remembered this is a first start.
func (m *remembered) checkLost(ctx context.Context) (lost bool, err error) {
	if !m.memory.exists() {
		m.told.Info("the folder of the keys remembers no store: what these keys had revoked elsewhere is not known here", "folder", filepath.Dir(m.memory.keys))
		return false, nil
	}
	return m.memory.isLost(func(place store.Cursor) (bool, error) {
		if place == (store.Cursor{}) { // unreadable
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
	beside, err := m.memory.write(cursor)
	if err != nil {
		return err
	}
	if !beside && !m.apart {
		m.told.Info("nothing can be written in the folder of the keys, so the folder of the data remembers how far the revocations have come: if all of it is lost, that is not noticed",
			"folder", filepath.Dir(m.memory.data))
	}
	m.last, m.apart = cursor, !beside
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
			m.told.Warn("cannot write down how far the revocations have come: a store that is lost is not noticed", "err", err)
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
func beginRemembered(ctx context.Context, g *gateway.Gateway, log store.Revocations, in memory, accept bool, told *slog.Logger) (stop func(), err error) {
	m := &remembered{memory: in, log: log, told: told}
	lost, err := m.checkLost(ctx)
	switch {
	case err != nil:
		return nil, err
	case lost && accept:
		told.Warn("insecure: the store has lost revocations, and tokens that were revoked may be good again")
	case lost:
		told.Warn("the store is not the one that the folder of the keys remembers, and has lost revocations: all that began until now is revoked, and everybody has to log in again", "keys", filepath.Dir(in.keys))
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
