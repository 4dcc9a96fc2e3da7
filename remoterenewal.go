package wsauth

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"wsauth/store"
	"wsauth/token"
)

const (
	// eventRenewed is the kind of the event that announces new claims of a
	// session. The ID of the event is the sid, and its data are the encoded
	// claims.
	eventRenewed = "wsauth.renewed"

	// renewalKept is how long the log keeps such an event. A node that has not
	// read it by then ends its sockets when their old token expires.
	renewalKept = time.Minute

	// remoteRenewers is the maximum number of sessions that a node renews at
	// the same time because of events. Several are needed, because
	// Config.Authorize may block.
	remoteRenewers = 16
)

// publishRenewal tells the other nodes that a session has new claims. It does
// nothing if the log carries no events.
func (l *revocationLog) publishRenewal(ctx context.Context, claims *token.Claims) error {
	if l == nil || l.events == nil {
		return nil
	}
	data, err := claims.MarshalBinary()
	if err != nil {
		return err
	}
	err = l.events.Publish(ctx, store.Event{Kind: eventRenewed, ID: claims.SessionID, Data: data, Expires: time.Now().Add(renewalKept)})
	if errors.Is(err, store.ErrUnconfirmed) { // the other nodes see it
		return nil
	}
	return err
}

// remoteRenewals renews sockets of sessions that were renewed on other nodes.
// The reader of the log calls add, which does not block.
type remoteRenewals struct {
	open registries

	mu      sync.Mutex
	pending map[string]*token.Claims // the newest claims, by sid
	order   []string                 // the keys of pending
	running int                      // goroutines that execute work
}

// add renews the sockets of a session with the claims of an event. Claims that
// cannot be decoded come from another version, and are ignored: the sockets
// then end when their old token expires.
func (r *remoteRenewals) add(e store.Event) {
	claims := new(token.Claims)
	if err := claims.UnmarshalBinary(e.Data); err != nil || claims.SessionID != e.ID || !r.concerns(claims) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[string]*token.Claims{}
	}
	if _, ok := r.pending[e.ID]; !ok {
		r.order = append(r.order, e.ID)
	}
	r.pending[e.ID] = claims
	if r.running < remoteRenewers {
		r.running++
		go r.work()
	}
}

// concerns reports whether a socket of the session has other claims. On the
// node that has published the claims, none has.
func (r *remoteRenewals) concerns(claims *token.Claims) bool {
	return slices.ContainsFunc(r.open.named(bySession, claims.SessionID), func(s *Socket) bool { return s.Claims().ID != claims.ID })
}

// work renews sessions until none is pending.
func (r *remoteRenewals) work() {
	for {
		claims := r.next()
		if claims == nil {
			return
		}
		_, _ = r.open.renew(context.Background(), claims) // fails only if the context does
	}
}

// next removes the claims that have been pending for the longest time, and
// returns them. If there are none, it returns nil, and the caller must return.
func (r *remoteRenewals) next() *token.Claims {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 {
		r.order = nil // release its memory
		r.running--
		return nil
	}
	sid := r.order[0]
	r.order = r.order[1:]
	claims := r.pending[sid]
	delete(r.pending, sid)
	return claims
}
