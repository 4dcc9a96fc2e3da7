package wsauth

import (
	"context"
	"slices"
	"sync"
	"time"

	"wsauth/internal/ratelimit"
	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/token"
)

// An entry is a registry's record of one socket. registry.mu guards it.
type entry struct {
	links     [nameKinds]link
	network   string // of the client, as counted by limits; "" if no limit needs it
	admitted  bool   // the socket is registered, and its connection is not closed
	leaving   bool   // it has been ended, or is about to be
	anonymous bool   // counted in registry.anonymous
	shared    bool   // counted in registry.shared
}

// A quota is the maximum number of open sockets of a name; 0 means no limit.
type quota struct {
	kind nameKind
	name string
	most int
}

// An eviction is a socket that must end to make room for a newer one.
type eviction struct {
	quota  quota
	oldest *Socket
}

// A registry contains the open sockets. It finds, orders, counts and limits
// them by their claims. Socket.entry is its record of a socket.
type registry struct {
	limits   Limits
	shared   *sharedCounts // nil if the limits are those of this node
	created  time.Time
	draining context.Context // done once no more sockets are admitted
	drain    context.CancelFunc

	mu        sync.Mutex // guards the following fields, and the entry of each socket
	rings     rings
	order     order           // all sockets
	anonymous anonymousCounts // sockets whose clients have not authenticated
	closing   bool
	idle      chan struct{} // closed once closing is set and the last socket is gone
}

func newRegistry(limits Limits) *registry {
	r := &registry{limits: limits, created: time.Now(), rings: newRings(), anonymous: newAnonymousCounts(limits), idle: make(chan struct{})}
	r.draining, r.drain = context.WithCancel(context.Background())
	return r
}

// age returns the age of the registry by the monotonic clock.
func (r *registry) age() time.Duration { return time.Since(r.created) }

// admit registers a socket. It returns the sockets that must end to make room
// for it. If it fails, nothing has changed. The error is Restarting while the
// registry is closing, and RateLimited if a limit is reached.
func (r *registry) admit(s *Socket) (evicted []*Socket, err error) {
	if r.limits.PerAddress > 0 || s.waits {
		s.entry.network = ratelimit.Network(s.remote)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, refuse(Restarting, nil)
	}
	if s.waits {
		if err := r.anonymous.check(s.entry.network, anonymous.full); err != nil {
			return nil, err
		}
	}
	if evicted, err = r.enter(s, s.Claims()); err != nil {
		return nil, err
	}
	if s.waits {
		r.anonymous.reserve(&s.entry)
	}
	r.order.add(s)
	s.entry.admitted = true
	return evicted, nil
}

// authenticate records the claims of a socket that had none. It returns the
// sockets that must end to make room for it.
func (r *registry) authenticate(s *Socket, claims *token.Claims) (evicted []*Socket, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.entry.admitted {
		return nil, s.checkOpen()
	}
	if s.entry.leaving { // maybe evicted, but not ended yet
		return nil, refuse(ConnectionLimit, nil)
	}
	if evicted, err = r.enter(s, claims); err != nil {
		return nil, err
	}
	r.anonymous.release(&s.entry)
	return evicted, nil
}

// rename records the new token of a renewed socket.
func (r *registry) rename(s *Socket, claims *token.Claims) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.entry.admitted {
		return s.checkOpen()
	}
	r.rings.remove(byToken, s)
	if claims.ID != "" {
		r.rings.add(byToken, claims.ID, s)
	}
	return nil
}

// ended records that a socket was ended.
func (r *registry) ended(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(s)
}

// forget removes a socket whose connection is closed.
func (r *registry) forget(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unshare(s)
	for kind := range nameKinds {
		r.rings.remove(kind, s)
	}
	r.order.remove(s)
	r.anonymous.release(&s.entry)
	r.closeIdle()
	s.entry.admitted = false
}

// reserveRefused counts a socket that is opened only to be closed with a
// reason. It fails with Restarting while the registry is closing, and with
// RateLimited if a limit is reached.
func (r *registry) reserveRefused(network string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return refuse(Restarting, nil)
	}
	if err := r.anonymous.check(network, anonymous.fullOfRefused); err != nil {
		return err
	}
	r.anonymous.change(network, func(a *anonymous) { a.refused++ })
	return nil
}

// releaseRefused undoes reserveRefused.
func (r *registry) releaseRefused(network string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.anonymous.change(network, func(a *anonymous) { a.refused-- })
	r.closeIdle()
}

// close stops admitting sockets.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing {
		r.closing = true
		r.drain()
		r.closeIdle()
	}
}

func (r *registry) isClosing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

// hasClaims reports whether any registered socket has claims.
func (r *registry) hasClaims() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rings[byToken])+len(r.rings[bySession])+len(r.rings[bySubject]) > 0
}

// counts returns the numbers of sockets, sessions and subjects.
func (r *registry) counts() (sockets, sessions, subjects int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order.open, len(r.rings[bySession]), len(r.rings[bySubject])
}

// all returns the sockets, oldest first.
func (r *registry) all() []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order.all()
}

// part returns the sockets in the next places after a number, and the number
// of the last of these places. If that equals number, there are no more.
func (r *registry) part(number uint64) (sockets []*Socket, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order.part(number)
}

// named returns the sockets of a name, in the order of its ring.
func (r *registry) named(kind nameKind, name string) []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rings.named(kind, name)
}

// concerned returns the sockets whose tokens v revokes, and those of its target
// that were open at v.Before. The dates of the tokens do not matter for the
// latter: they may come from a clock that is ahead, or from ours before it was
// set back.
func (r *registry) concerned(v store.Revocation) []*Socket {
	return slices.DeleteFunc(r.within(v), func(s *Socket) bool {
		claims := s.Claims()
		return claims == nil || s.end.Load() != nil || !revindex.Concerns(v, claims) && (v.Before.IsZero() || !s.identity.existedAt(v.Before, s.guard.now()))
	})
}

// within returns the sockets of the target of a revocation.
func (r *registry) within(v store.Revocation) []*Socket {
	switch v.Target {
	case store.TargetToken:
		return r.named(byToken, v.ID)
	case store.TargetSession, store.TargetOlder:
		return r.named(bySession, v.ID)
	case store.TargetSubject:
		return r.ofUser(v.ID)
	case store.TargetSessionless:
		return slices.DeleteFunc(r.ofUser(v.ID), func(s *Socket) bool {
			claims := s.Claims()
			return claims == nil || claims.SessionID != ""
		})
	case store.TargetAll:
		return r.all()
	}
	return nil
}

// ofUser returns the sockets whose subject, or subject at the issuer, is name.
func (r *registry) ofUser(name string) []*Socket {
	all := r.named(bySubject, name)
	for _, s := range r.named(byIssuer, name) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// r.mu must be held for all following methods.

// enter adds a socket to the rings of its address and its claims. It returns
// the sockets that must end to make room for it. If it fails, nothing has
// changed.
func (r *registry) enter(s *Socket, claims *token.Claims) ([]*Socket, error) {
	var room [nameKinds]quota
	quotas := r.appendQuotas(room[:0], s, claims)
	evictions, err := r.makeRoom(quotas, claims != nil)
	if err != nil {
		return nil, err
	}
	evicted := r.evict(evictions)
	for _, q := range quotas {
		r.rings.add(q.kind, q.name, s)
	}
	if r.shared != nil && claims != nil {
		if s.entry.shared = true; s.entry.leaving {
			r.unshare(s)
		}
	}
	return evicted, nil
}

// appendQuotas appends the quotas that do not yet include s. Narrower limits
// come first: an eviction for one of them often makes room under the others,
// too.
func (r *registry) appendQuotas(quotas []quota, s *Socket, claims *token.Claims) []quota {
	if claims != nil {
		for _, q := range [...]quota{
			{byToken, claims.ID, 0},
			{bySession, claims.SessionID, r.limits.PerSession},
			{bySubject, claims.Subject, r.limits.PerSubject},
			{byIssuer, claims.IssuerSubject, 0},
		} {
			if q.name != "" {
				quotas = append(quotas, q)
			}
		}
	}
	if r.limits.PerAddress > 0 && s.entry.links[byAddress].next == nil {
		quotas = append(quotas, quota{byAddress, s.entry.network, r.limits.PerAddress})
	}
	return quotas
}

// makeRoom looks for room for one more socket under each quota, without
// changing anything. It returns the sockets that must end, at most one for
// each quota. It fails with RateLimited if one of the limits leaves no room;
// then the other limits evict no sockets either. Only authenticated clients
// may evict sockets.
func (r *registry) makeRoom(quotas []quota, authenticated bool) (evictions []eviction, err error) {
	for _, q := range quotas {
		if q.most == 0 {
			continue
		}
		of := r.rings[q.kind][q.name]
		// of.all includes ended sockets until their connections are closed.
		if of.all-q.most >= q.most { // all >= 2*most, which may overflow
			return nil, errFull()
		}
		if r.shared != nil && r.limits.WhenFull == EndOldest && authenticated {
			continue // sharedCounts limits and evicts on all nodes
		}
		staying := of.staying()
		for _, e := range evictions {
			if l := e.oldest.entry.links[q.kind]; l.next != nil && l.name == q.name {
				staying--
			}
		}
		if staying < q.most {
			continue
		}
		if r.limits.WhenFull != EndOldest || !authenticated || r.afterEviction(q) > r.age()+evictionPeriod {
			return nil, errFull()
		}
		evictions = append(evictions, eviction{q, r.rings.oldest(q.kind, q.name)})
	}
	return evictions, nil
}

func errFull() error { return refuseWith(RateLimited, "Too many open connections") }

// evict carries out evictions. It returns the sockets, which the caller must
// end.
func (r *registry) evict(evictions []eviction) (evicted []*Socket) {
	for _, e := range evictions {
		next := r.afterEviction(e.quota)
		of := r.rings[e.quota.kind][e.quota.name]
		of.evictions = next
		r.rings[e.quota.kind][e.quota.name] = of
		r.leave(e.oldest)
		evicted = append(evicted, e.oldest)
	}
	return evicted
}

// afterEviction returns the value of ring.evictions after one more eviction
// under a quota. This is a token bucket stored as one time: its distance from
// now is the used part of the period.
func (r *registry) afterEviction(q quota) time.Duration {
	every := evictionPeriod / time.Duration(max(q.most, minEvictions))
	return max(r.rings[q.kind][q.name].evictions, r.age()) + every
}

// leave marks s as leaving under all its names, so that it no longer counts
// against limits. The caller must end it.
func (r *registry) leave(s *Socket) {
	if s.entry.leaving {
		return
	}
	s.entry.leaving = true
	r.unshare(s)
	if s.entry.anonymous {
		r.anonymous.change(s.entry.network, func(a *anonymous) { a.waiting--; a.leaving++ })
	}
	for kind, l := range s.entry.links {
		if l.next != nil {
			of := r.rings[kind][l.name]
			of.leaving++
			r.rings[kind][l.name] = of
		}
	}
}

// closeIdle closes r.idle if the registry is closing and no socket is left.
func (r *registry) closeIdle() {
	if r.closing && r.order.open == 0 && r.anonymous.all.none() {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}
