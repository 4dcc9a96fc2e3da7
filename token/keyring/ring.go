package keyring

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/token"
)

// defaultPoll is the time between two readings of the folder.
const defaultPoll = 2 * time.Second

// Options configure a [Ring].
type Options struct {
	// Logger logs changes of the keys and failures to read them, but nothing
	// of a key. Default: no log.
	Logger *slog.Logger
}

// A Ring holds the keys of a folder. It is a [token.Signer] that signs with
// the newest key, and a [token.KeySource] that contains all keys that have not
// expired, including those that will sign only later, because the clocks of
// issuers differ. Both follow the dates of the keys without being notified;
// [Ring.Watch] follows changes of the folder. A Ring is safe for concurrent
// use.
type Ring struct {
	dir  string
	poll time.Duration
	log  *slog.Logger
	view atomic.Pointer[view]

	reading sync.Mutex
	files   map[string]file
	fault   string // the fault that was logged last; empty if there is none
}

// Open reads the keys of a folder. It fails if the folder does not exist or
// has unusable files; the error names each such file and what to do. A folder
// without keys is not an error: it cannot sign, and its key set is empty.
func Open(dir string, o Options) (*Ring, error) {
	c, err := read(dir, nil)
	if err != nil {
		return nil, err
	}
	r := &Ring{dir: dir, poll: defaultPoll, log: o.Logger, files: c.files}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.view.Store(newView(entries(c.files), time.Now(), nil))
	return r, nil
}

// KeySet returns the keys that are currently valid. It never fails.
func (r *Ring) KeySet(context.Context, string) (*token.KeySet, error) {
	return r.currentView().set, nil
}

// SigningKey returns the key that currently signs.
func (r *Ring) SigningKey() (*token.Key, error) {
	if key := r.currentView().signer; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("keyring: no key in %s can sign now; generate one: wsauth keys generate --keys=%s", r.dir, r.dir)
}

// Entries returns the keys as last read, newest first, including expired ones.
func (r *Ring) Entries() []Entry { return slices.Clone(r.currentView().entries) }

// currentView returns the view for the current time.
func (r *Ring) currentView() *view {
	for {
		v, now := r.view.Load(), time.Now()
		if v.appliesAt(now) {
			return v
		}
		// This fails if another call was faster.
		r.view.CompareAndSwap(v, newView(v.entries, now, v))
	}
}
