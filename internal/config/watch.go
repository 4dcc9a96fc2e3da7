package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	pollInterval = 250 * time.Millisecond

	// quietPolls is the number of polls without another change after which a
	// change in place is reported.
	quietPolls = 4

	// unknownPolls is the number of polls for which the kernel may be late to
	// report how a file was created.
	unknownPolls = 2

	// maxLinks is the maximum number of symbolic links in a path, as in Linux.
	maxLinks = 40
)

// A Change describes how a watched file has changed.
type Change int

const (
	// Replaced means that another file was renamed to the path, or that a
	// symbolic link in the path has a new target. Both are atomic, so the file
	// is complete.
	Replaced Change = iota

	// InPlace means that the file was modified, or created under its name, and
	// has not changed for a second since. It may be incomplete: its writer may
	// only be pausing.
	InPlace
)

// A Watcher detects when and how a file changes.
//
// It compares identities, not times: the device and inode of the file, and the
// targets of symbolic links in the path. On Linux, it keeps the inode open, so
// that no other file can get the same number, and uses inotify(7) to learn
// whether a new file was renamed to the path or created there.
type Watcher struct {
	file string
	seen snapshot // the state at the last change or at the start
}

// A snapshot is the state of a path at one time.
type snapshot struct {
	links []string    // symbolic links in the path, with their targets
	final string      // the path with symbolic links resolved
	info  os.FileInfo // nil if there is no file
}

// NewWatcher returns a watcher for changes from now on. Read the file after
// calling it.
func NewWatcher(file string) *Watcher {
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	return &Watcher{file: file, seen: takeSnapshot(file)}
}

// Run calls changed after each change until ctx is done. If the file is
// deleted, Run waits for it to be created.
func (w *Watcher) Run(ctx context.Context, changed func(Change)) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	pin := newPin(w.seen)
	defer func() { pin.release() }()
	arrivals := newArrivals()
	defer arrivals.close()
	arrivals.watch(w.file, w.seen.final)
	var last snapshot
	quiet, unknown := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		arrivals.read()
		now := takeSnapshot(w.file)
		arrivals.watch(w.file, now.final)
		if now.isEqual(last) {
			quiet++
		} else {
			quiet = 0
		}
		last = now
		if now.info == nil || now.isEqual(w.seen) {
			unknown = 0
			continue
		}
		change := InPlace
		switch {
		case now.hasNewLink(w.seen):
			change = Replaced
		case w.seen.info == nil || !os.SameFile(now.info, w.seen.info):
			renamed, known := arrivals.renamed(now.final)
			if !known && unknown < unknownPolls {
				unknown++
				continue
			}
			if known && renamed || !known && wasMoved(now.info) {
				change = Replaced
			}
		}
		if change == InPlace && quiet < quietPolls {
			continue
		}
		unknown = 0
		w.seen = now
		pin.release()
		pin = newPin(now)
		arrivals.forget()
		changed(change)
	}
}

// takeSnapshot returns the state of a clean path. info is nil if there is no
// file. While an editor writes the file, it may be missing for a moment.
func takeSnapshot(path string) snapshot {
	l := snapshot{final: path}
	for len(l.links) < maxLinks {
		link, target := firstLink(l.final)
		if link == "" {
			break
		}
		l.links = append(l.links, link+"\x00"+target)
		rest := l.final[len(link):]
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		l.final = filepath.Join(target, rest)
	}
	if info, err := os.Stat(l.final); err == nil {
		l.info = info
	}
	return l
}

// firstLink returns the first prefix of a clean path that is a symbolic link,
// and its target, or "".
func firstLink(path string) (link, target string) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && !os.IsPathSeparator(path[i]) {
			continue
		}
		if target, err := os.Readlink(path[:i]); err == nil {
			return path[:i], target
		}
	}
	return "", ""
}

// hasNewLink reports whether a symbolic link in the path is new or has a new
// target since before.
func (l snapshot) hasNewLink(before snapshot) bool {
	return slices.ContainsFunc(l.links, func(link string) bool { return !slices.Contains(before.links, link) })
}

// isEqual reports whether the states are equal.
func (l snapshot) isEqual(other snapshot) bool {
	if l.info == nil || other.info == nil {
		return l.info == nil && other.info == nil
	}
	return slices.Equal(l.links, other.links) && os.SameFile(l.info, other.info) &&
		l.info.Size() == other.info.Size() && l.info.ModTime().Equal(other.info.ModTime())
}
