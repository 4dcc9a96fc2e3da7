package config

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
)

// oPath is O_PATH of open(2): such a descriptor cannot be read, so it needs no
// permission and does not wait for the writer of a pipe.
const oPath = 0x200000

// A pin keeps an inode open, so that no other file gets its number.
type pin int

// newPin pins the file of l, if it still exists.
func newPin(l snapshot) pin {
	if l.info == nil {
		return -1
	}
	fd, err := syscall.Open(l.final, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return pin(fd)
}

func (p pin) release() {
	if p >= 0 {
		// Errors do not matter: the descriptor was never read.
		_ = syscall.Close(int(p))
	}
}

// arrivals distinguishes files that were renamed to their names from files that
// were created under them or modified afterwards. The methods of a nil
// *arrivals report nothing.
type arrivals struct {
	fd     int
	dirs   map[string]int32 // watch descriptors of folders
	names  map[arrival]bool // names of interest
	moved  map[arrival]bool // whether a rename was the last event for a name
	buffer []byte
}

// An arrival is a name in a watched folder.
type arrival struct {
	dir  int32
	name string
}

// newArrivals starts inotify. It returns nil if the system has reached its
// limit.
func newArrivals() *arrivals {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &arrivals{fd: fd, moved: map[arrival]bool{}, buffer: make([]byte, 16<<10)}
}

func (a *arrivals) close() {
	if a != nil {
		_ = syscall.Close(a.fd) // nothing was written to it
	}
}

// watch watches the folders of paths, and no others.
func (a *arrivals) watch(paths ...string) {
	if a == nil {
		return
	}
	before := a.dirs
	a.dirs, a.names = map[string]int32{}, map[arrival]bool{}
	for _, path := range paths {
		dir := filepath.Dir(path)
		// A write to a renamed file is a change in place.
		const events = syscall.IN_MOVED_TO | syscall.IN_CREATE | syscall.IN_MODIFY | syscall.IN_ONLYDIR
		watch, err := syscall.InotifyAddWatch(a.fd, dir, events)
		if err != nil {
			continue
		}
		a.dirs[dir] = int32(watch)
		a.names[arrival{int32(watch), filepath.Base(path)}] = true
	}
	for _, watch := range before {
		if !a.watches(watch) {
			// Fails if the folder was deleted.
			_, _ = syscall.InotifyRmWatch(a.fd, uint32(watch))
		}
	}
	for at := range a.moved {
		if !a.names[at] {
			delete(a.moved, at)
		}
	}
}

func (a *arrivals) watches(watch int32) bool {
	for _, other := range a.dirs {
		if other == watch {
			return true
		}
	}
	return false
}

// read processes the events since the last call.
func (a *arrivals) read() {
	if a == nil {
		return
	}
	for {
		n, err := syscall.Read(a.fd, a.buffer)
		if err != nil || n < syscall.SizeofInotifyEvent {
			return // EAGAIN: no more events
		}
		for b := a.buffer[:n]; len(b) >= syscall.SizeofInotifyEvent; {
			watch, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			end := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			if end > len(b) {
				return
			}
			name, _, _ := bytes.Cut(b[syscall.SizeofInotifyEvent:end], []byte{0})
			b = b[end:]
			if mask&syscall.IN_Q_OVERFLOW != 0 {
				clear(a.moved)
			}
			if at := (arrival{watch, string(name)}); a.names[at] {
				a.moved[at] = mask&syscall.IN_MOVED_TO != 0
			}
		}
	}
}

// renamed reports whether the file at a path was renamed to it, and whether
// this is known.
func (a *arrivals) renamed(final string) (renamed, known bool) {
	if a == nil {
		return false, false
	}
	watch, watched := a.dirs[filepath.Dir(final)]
	if !watched {
		return false, false
	}
	at := arrival{watch, filepath.Base(final)}
	renamed, known = a.moved[at]
	return renamed, known
}

// forget discards the events so far, after they have been handled.
func (a *arrivals) forget() {
	if a != nil {
		clear(a.moved)
	}
}

// wasMoved reports whether a file was changed after it was written, for
// example by a rename, which sets its change time but not its modification
// time.
func wasMoved(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Ctim != stat.Mtim
}
