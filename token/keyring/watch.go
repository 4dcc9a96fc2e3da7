package keyring

import (
	"context"
	"slices"
	"time"
)

// Watch polls the folder until ctx is done, and applies changes. If the folder
// or a file in it is not usable, the keys stay as they were, and the error is
// logged once. Keys whose files were deleted are removed even then.
//
// Watch compares contents, not modification times, so it misses no change. A
// file that is still being written is not usable: write it under another name,
// then rename it.
func (r *Ring) Watch(ctx context.Context) {
	ticker := time.NewTicker(r.poll)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.Reload()
		case <-ctx.Done():
			return
		}
	}
}

// Reload reads the folder once, as [Ring.Watch] does periodically.
func (r *Ring) Reload() {
	r.reading.Lock()
	defer r.reading.Unlock()
	c, err := read(r.dir, r.files)
	if err != nil {
		if text := err.Error(); text != r.fault {
			r.fault = text
			r.log.Error("the keys stay as they were", "folder", r.dir, "error", err)
		}
		c.files = r.remaining(c)
	} else if r.fault != "" {
		r.fault = ""
		r.log.Info("the folder of keys is in order again", "folder", r.dir)
	}
	r.take(c.files)
}

// remaining returns the previous files without those that were deleted.
func (r *Ring) remaining(c contents) map[string]file {
	files := map[string]file{}
	for name, f := range r.files {
		if c.names == nil || slices.Contains(c.names, name) {
			files[name] = f
		}
	}
	return files
}

// take makes files the current ones.
func (r *Ring) take(files map[string]file) {
	r.files = files
	list := entries(files)
	if slices.Equal(list, r.view.Load().entries) {
		return
	}
	for {
		before := r.view.Load()
		if r.view.CompareAndSwap(before, newView(list, time.Now(), before)) {
			break
		}
	}
	args := []any{"folder", r.dir, "keys", len(list)}
	if key, err := r.SigningKey(); err == nil {
		args = append(args, "signing", key.ID())
	} else {
		args = append(args, "error", err)
	}
	r.log.Info("keys read", args...)
}
