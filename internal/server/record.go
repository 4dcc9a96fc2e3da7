package server

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

	"wsauth/internal/gateway"
	"wsauth/internal/keyfile"
	"wsauth/store"
)

const (
	// recordName is the name of the file that records the position of the
	// revocation log. The key folder does not treat it as a key.
	recordName = "revocations.seen"

	// recordInterval is the time between writes of the file.
	recordInterval = 10 * time.Second
)

// recordFiles holds the two possible paths of the file that records the
// position of the revocation log.
//
// The file is in the key folder, because keys whose tokens were revoked must
// not be used with a store that has lost the revocations. If the key folder is
// not writable, for example because it is a mounted secret, the file is in the
// data folder. There it can at least detect that the store was removed or
// replaced by an older copy.
type recordFiles struct{ inKeys, inData string }

func newRecordFiles(keys, data string) recordFiles {
	return recordFiles{filepath.Join(keys, recordName), filepath.Join(data, recordName)}
}

// exist reports whether there is a record.
func (f recordFiles) exist() bool { return exists(f.inKeys) || exists(f.inData) }

// areNewer reports whether a log has lost entries since its position was
// recorded. isKnown reports whether the log knows a position. A file in the
// data folder exists only while the one in the key folder cannot be written,
// and takes precedence, because the other may belong to another store.
func (f recordFiles) areNewer(isKnown func(store.Cursor) (bool, error)) (bool, error) {
	var newest store.Cursor
	for _, file := range []string{f.inData, f.inKeys} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("the record of the store: %w", err)
		}
		position, ok := parsePosition(string(text))
		if newest.Epoch != "" && position.Epoch != newest.Epoch {
			continue
		}
		if known, err := isKnown(position); err != nil || !known || !ok {
			return err == nil, err
		}
		newest = position
	}
	return false, nil
}

// write records a position, and reports whether it is in the key folder.
func (f recordFiles) write(position store.Cursor) (inKeys bool, err error) {
	line := fmt.Appendf(nil, "%s %d\n", position.Epoch, position.Sequence)
	err = keyfile.Replace(f.inKeys, line)
	if err == nil {
		if err := os.Remove(f.inData); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
		return true, nil
	}
	if keyfile.Replace(f.inData, line) != nil {
		return false, err
	}
	return false, nil
}

// parsePosition parses a recorded position, and reports whether it is valid.
func parsePosition(text string) (store.Cursor, bool) {
	epoch, sequence, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseUint(sequence, 10, 64)
	return store.Cursor{Epoch: epoch, Sequence: n}, err == nil && epoch != ""
}

// A recorder records the position of a log of revocations.
//
// The position is recorded after the log has been written, so a recorded
// position that the log does not know means lost entries, no matter when the
// server was killed.
type recorder struct {
	files       recordFiles
	revocations store.Revocations
	log         *slog.Logger
	last        store.Cursor // the recorded position
	inData      bool         // recorded in the data folder
}

// startRecorder revokes everything that started before now if revocations were
// lost, unless acceptLost is set. It then records the position of the log
// until stop is called.
func startRecorder(ctx context.Context, g *gateway.Gateway, st store.Store, files recordFiles, acceptLost bool, log *slog.Logger) (stop func(), err error) {
	r := &recorder{files: files, revocations: st, log: log}
	lost, err := r.checkLost(ctx)
	switch {
	case err != nil:
		return nil, err
	case lost && acceptLost:
		log.Warn("insecure: the store has lost revocations, and revoked tokens may be valid again")
	case lost:
		log.Warn("the store is not the one that the key folder records, and has lost revocations: everything that started before now is revoked, and all users must log in again", "keys", filepath.Dir(files.inKeys))
		if err := endEverything(ctx, g, st); errors.Is(err, store.ErrNotDurable) {
			log.Error("the store could not record this; the next start revokes everything again", "error", err)
			return func() {}, nil
		} else if !store.InEffect(err) {
			return nil, err
		}
	}
	return r.run(ctx), nil
}

// endEverything revokes everything that started before now, by the clock of the
// store.
func endEverything(ctx context.Context, g *gateway.Gateway, clock store.Clock) error {
	now, err := clock.Now(ctx)
	if err != nil {
		return err
	}
	_, err = g.Login().EndAllBefore(ctx, now)
	return err
}

// checkLost compares the log with the record. It reports whether entries were
// lost, because the store was removed or replaced by another or an older copy.
// If there is no record, this is the first start.
func (r *recorder) checkLost(ctx context.Context) (lost bool, err error) {
	if !r.files.exist() {
		r.log.Info("the key folder has no record of a store: if its keys were used with another store, the revocations there are unknown", "folder", filepath.Dir(r.files.inKeys))
		return false, nil
	}
	return r.files.areNewer(func(position store.Cursor) (bool, error) {
		if position == (store.Cursor{}) { // the record is unreadable
			return false, nil
		}
		switch _, err := r.revocations.Read(ctx, position); {
		case errors.Is(err, store.ErrCursor):
			return r.hasFailedOver(ctx, position)
		case err != nil:
			return false, err
		}
		r.last = position
		return true, nil
	})
}

// hasFailedOver reports whether position belongs to this log, but to another
// history of it, as after a failover. Nothing is lost then, because the other
// nodes write back the entries that the log lacks.
func (r *recorder) hasFailedOver(ctx context.Context, position store.Cursor) (bool, error) {
	page, err := r.revocations.Read(ctx, store.Cursor{})
	if err != nil {
		return false, err
	}
	return page.Next.Epoch != position.Epoch && page.Next.LogID() == position.LogID(), nil
}

// run records the position periodically until stop is called, and then once
// more.
func (r *recorder) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	failed := false
	try := func(ctx context.Context) {
		err := r.record(ctx)
		if err != nil && !failed {
			r.log.Warn("cannot record the state of the revocations: a lost store would not be detected", "error", err)
		}
		failed = err != nil
	}
	try(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(recordInterval)
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
		running.Wait()
		try(context.WithoutCancel(ctx))
	}
}

// record records the current position of the log.
func (r *recorder) record(ctx context.Context) error {
	position := r.last
	for {
		page, err := r.revocations.Read(ctx, position)
		if errors.Is(err, store.ErrCursor) && position != (store.Cursor{}) {
			// After a failover, this node has in memory the entries that the
			// log may lack.
			position = store.Cursor{}
			continue
		}
		if err != nil {
			return err
		}
		position = page.Next
		if page.End {
			break
		}
	}
	if position == r.last {
		return nil
	}
	inKeys, err := r.files.write(position)
	if err != nil {
		return err
	}
	if !inKeys && !r.inData {
		r.log.Info("the key folder is not writable, so the state of the revocations is recorded in the data folder: if all of that is lost, this cannot be detected",
			"folder", filepath.Dir(r.files.inData))
	}
	r.last, r.inData = position, !inKeys
	return nil
}
