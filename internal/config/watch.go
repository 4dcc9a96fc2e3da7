package config

import (
	"context"
	"os"
	"time"
)

// lookEvery is how often a watcher looks at its file.
const lookEvery = time.Second

// A Watcher finds out when a file has changed, whether it was written or another was put in its place.
type Watcher struct {
	file string
	seen os.FileInfo // nil where there was none
}

// NewWatcher makes a watcher of changes from now on: read the file after that.
func NewWatcher(file string) *Watcher {
	return &Watcher{file: file, seen: stat(file)}
}

// stat is nil where the file cannot be found, as it is for a moment when some editors write.
func stat(file string) os.FileInfo {
	info, err := os.Stat(file)
	if err != nil {
		return nil
	}
	return info
}

// Run calls changed after each change, until ctx is done. A file that changes is not taken before it has been the same for a second:
// whoever writes it may not be done. One that is gone is waited for.
func (w *Watcher) Run(ctx context.Context, changed func()) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var last os.FileInfo
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := stat(w.file)
		if now != nil && !same(now, w.seen) && same(now, last) {
			w.seen = now
			changed()
		}
		last = now
	}
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return false
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
