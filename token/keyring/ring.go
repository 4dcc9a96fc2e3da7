package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/token"
)

// defaultPoll is how often a folder is looked at.
const defaultPoll = 2 * time.Second

// Options say how a [Ring] is kept.
type Options struct {
	// Poll is how often [Ring.Watch] looks at the folder. Default: 2 seconds.
	Poll time.Duration

	// Logger gets a line when the keys change, and one when they cannot be read, never with a part of a key. Default: no log.
	Logger *slog.Logger
}

// A Ring is the keys of a folder. It is a [token.Signer], which signs with the newest key, and a [token.KeySource], which holds all that
// have not expired, also those that will sign only later: the clocks of those who sign differ. Both follow the dates of the keys by
// themselves, to the moment; that the folder changes is seen by [Ring.Watch]. It is safe for concurrent use.
type Ring struct {
	dir  string
	poll time.Duration
	log  *slog.Logger
	view atomic.Pointer[view]

	reading sync.Mutex
	files   map[string]file
	fault   string // what was logged last; empty when all is well
}

// Open reads the folder. One that is not there, or has a file that cannot be used, is an error, which names every such file and what to
// do. One without keys is none: it has nothing to sign with, and its set of keys is empty.
func Open(dir string, o Options) (*Ring, error) {
	if o.Poll < 0 {
		return nil, errors.New("keyring: Options.Poll: negative")
	}
	c, err := read(dir, nil)
	if err != nil {
		return nil, err
	}
	r := &Ring{dir: dir, poll: o.Poll, log: o.Logger, files: c.files}
	if r.poll == 0 {
		r.poll = defaultPoll
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.view.Store(newView(entries(c.files), time.Now(), nil))
	return r, nil
}

// KeySet returns the keys whose tokens count now. It never fails.
func (r *Ring) KeySet(context.Context, string) (*token.KeySet, error) { return r.now().set, nil }

// SigningKey returns the key that signs now.
func (r *Ring) SigningKey() (*token.Key, error) {
	if key := r.now().signer; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("keyring: no key in %s can sign now; make one: wsauth keys generate --keys=%s", r.dir, r.dir)
}

// Entries are the keys as they were last read, newest first, also those that have expired.
func (r *Ring) Entries() []Entry { return slices.Clone(r.now().entries) }

// now is the view that holds now.
func (r *Ring) now() *view {
	for {
		v, now := r.view.Load(), time.Now()
		if v.holds(now) {
			return v
		}
		r.view.CompareAndSwap(v, newView(v.entries, now, v)) // or another call has done it
	}
}
