package config

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
)

// oPath is O_PATH of open(2): a descriptor that reads nothing, and so needs
// no permission and waits for no writer of a pipe.
const oPath = 0x200000

// A pin holds an inode, so that no other file gets its number meanwhile.
type pin int

// newPin pins the file of l, if it is still there.
func newPin(l look) pin {
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
		_ = syscall.Close(int(p)) // it was opened for nothing but its number
	}
}

// arrivals tells files that were renamed onto their names from those that were
// created under them, or written after they came. A nil one knows nothing.
type arrivals struct {
	fd     int
	dirs   map[string]int32 // the watch of a folder
	names  map[arrival]bool // those that matter
	moved  map[arrival]bool // whether a rename was the last that such a name has seen
	buffer []byte
}

// An arrival names where a file came.
type arrival struct {
	dir  int32
	name string
}

// newArrivals returns nil where the system grants no more of them.
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

// watch has the folders of the paths watched, and no others.
func (a *arrivals) watch(paths ...string) {
	if a == nil {
		return
	}
	before := a.dirs
	a.dirs, a.names = map[string]int32{}, map[arrival]bool{}
	for _, path := range paths {
		dir := filepath.Dir(path)
		// Writing after a rename makes it a change in place, so that counts, too.
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
			_, _ = syscall.InotifyRmWatch(a.fd, uint32(watch)) // a folder that is gone has none
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

// read notes what has come since the last call.
func (a *arrivals) read() {
	if a == nil {
		return
	}
	for {
		n, err := syscall.Read(a.fd, a.buffer)
		if err != nil || n < syscall.SizeofInotifyEvent {
			return // EAGAIN: there is no more
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

// renamed reports whether the file at a path came by a rename, and whether
// that is known.
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

// settle forgets what has come until now: it was acted on.
func (a *arrivals) settle() {
	if a != nil {
		clear(a.moved)
	}
}

// wasMoved reports whether a file was touched after it was written, as by a
// rename, which sets its change time and leaves its modification time.
func wasMoved(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Ctim != stat.Mtim
}
