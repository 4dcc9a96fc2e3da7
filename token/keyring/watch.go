package keyring

import (
	"context"
	"slices"
	"time"
)

// Watch looks at the folder every now and then, until ctx is done, and takes what has changed. Where the folder or a file in it cannot be
// used, the keys stay as they were, which is logged once; only a key whose file is gone stops to count even then.
//
// It compares what the files hold, not when they were written, and so misses nothing. A file that is being written is a broken one for
// that moment: give it its name when it is whole.
func (r *Ring) Watch(ctx context.Context) {
	ticker := time.NewTicker(r.poll)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.reload()
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the folder anew.
func (r *Ring) reload() {
	r.reading.Lock()
	defer r.reading.Unlock()
	c, err := read(r.dir, r.files)
	if err != nil {
		if text := err.Error(); text != r.fault {
			r.fault = text
			r.log.Error("the keys stay as they were", "folder", r.dir, "err", err)
		}
		c.files = r.remaining(c)
	} else if r.fault != "" {
		r.fault = ""
		r.log.Info("the folder of keys is in order again", "folder", r.dir)
	}
	r.take(c.files)
}

// remaining are the files as they were, without those that are gone.
func (r *Ring) remaining(c contents) map[string]file {
	files := map[string]file{}
	for name, f := range r.files {
		if c.names == nil || slices.Contains(c.names, name) {
			files[name] = f
		}
	}
	return files
}

// take makes files those that count.
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
		args = append(args, "err", err)
	}
	r.log.Info("keys read", args...)
}
