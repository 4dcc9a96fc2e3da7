package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	lookEvery = 250 * time.Millisecond // how often a watcher looks at its file
	quietFor  = 4                      // looks without a change that end a change in place
	unsureFor = 2                      // looks for which the kernel may be late to say how a file came
	maxLinks  = 40                     // symbolic links on the way to one file, as Linux has it
)

// A Change says how a watched file has changed.
type Change int

const (
	// Replaced means that another file was renamed onto the path, or that a
	// symbolic link on the way has another target. Either is one step, so the
	// file is as whole as its writer made it.
	Replaced Change = iota

	// InPlace means that the file was written where it is, or created under
	// its name, and has been the same for a second since. Its writer may only
	// be pausing: nobody can tell whether it is whole.
	InPlace
)

// A Watcher finds out when a file has changed, and how.
//
// It compares identities, not times: the device and inode that the path leads
// to, and the targets of the symbolic links on the way. On Linux it holds on
// to the inode, so that no later file can get the same number, and asks
// inotify(7) whether a new file was renamed onto its name or created there.
type Watcher struct {
	file string
	seen look // what the last change led to, or what there was at the start
}

// A look is what a path leads to at one moment.
type look struct {
	links []string    // each symbolic link on the way, with its target
	final string      // the path without symbolic links
	info  os.FileInfo // of the file; nil if there is none
}

// NewWatcher makes a watcher of changes from now on: read the file after that.
func NewWatcher(file string) *Watcher {
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	return &Watcher{file: file, seen: lookAt(file)}
}

// Run calls changed after each change, until ctx is done. A file that is gone
// is waited for.
func (w *Watcher) Run(ctx context.Context, changed func(Change)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	pin := newPin(w.seen)
	defer func() { pin.release() }()
	arrivals := newArrivals()
	defer arrivals.close()
	arrivals.watch(w.file, w.seen.final)
	var last look
	quiet, unsure := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		arrivals.read()
		now := lookAt(w.file)
		arrivals.watch(w.file, now.final)
		if now.same(last) {
			quiet++
		} else {
			quiet = 0
		}
		last = now
		if now.info == nil || now.same(w.seen) {
			unsure = 0
			continue
		}
		change := InPlace
		switch {
		case now.hasNewLink(w.seen):
			change = Replaced
		case w.seen.info == nil || !os.SameFile(now.info, w.seen.info):
			renamed, known := arrivals.renamed(now.final)
			if !known && unsure < unsureFor {
				unsure++
				continue
			}
			if known && renamed || !known && wasMoved(now.info) {
				change = Replaced
			}
		}
		if change == InPlace && quiet < quietFor {
			continue
		}
		unsure = 0
		w.seen = now
		pin.release()
		pin = newPin(now)
		arrivals.settle()
		changed(change)
	}
}

// lookAt looks at what a clean path leads to. It has no info while the file
// cannot be found, as for a moment when some editors write.
func lookAt(path string) look {
	l := look{final: path}
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

// firstLink returns the first part of a clean path that is a symbolic link,
// and its target, or "" if none is.
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

// hasNewLink reports whether a symbolic link on the way is new, or has another
// target than it had in before.
func (l look) hasNewLink(before look) bool {
	return slices.ContainsFunc(l.links, func(link string) bool { return !slices.Contains(before.links, link) })
}

// same reports whether nothing has changed between the two.
func (l look) same(other look) bool {
	if l.info == nil || other.info == nil {
		return l.info == nil && other.info == nil
	}
	return slices.Equal(l.links, other.links) && os.SameFile(l.info, other.info) &&
		l.info.Size() == other.info.Size() && l.info.ModTime().Equal(other.info.ModTime())
}
