package wsauth

import (
	"context"
	"time"

	"wsauth/internal/ratelimit"
	"wsauth/token"
)

// reserve reserves places for a socket that is about to get its first claims.
// It returns nil if the limits are those of this node alone. If this node must
// refuse the socket anyway, reserve does not call the store.
func (r *registry) reserve(ctx context.Context, s *Socket, claims *token.Claims) (*reservation, error) {
	if r.shared == nil || claims == nil {
		return nil, nil
	}
	network, err := r.mayReserve(s, claims)
	if err != nil {
		return nil, err
	}
	return r.shared.reserve(ctx, network, claims)
}

// mayReserve fails if this node must refuse a socket without asking the store.
// Otherwise it returns the network of the client, or "" if no limit needs it.
func (r *registry) mayReserve(s *Socket, claims *token.Claims) (network string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return "", refuse(Restarting, nil)
	}
	if r.limits.PerAddress > 0 {
		s.entry.network = ratelimit.Network(s.remote)
	}
	var room [nameKinds]quota
	_, err = r.makeRoom(r.appendQuotas(room[:0], s, claims), true)
	return s.entry.network, err
}

// unshare gives back the places of a socket in r.shared, if it has any. r.mu
// must be held.
func (r *registry) unshare(s *Socket) {
	if !s.entry.shared {
		return
	}
	s.entry.shared = false
	for _, kind := range sharedKinds {
		if l := s.entry.links[kind]; l.next != nil && r.limits.most(kind) > 0 {
			r.shared.ended(kind, l.name)
		}
	}
}

// oldest returns when the oldest socket of a name was opened, or the current
// time if there is none.
func (r *registry) oldest(kind nameKind, name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rings[kind][name].staying() == 0 {
		return time.Now()
	}
	return r.rings.oldest(kind, name).started
}

// evictOldest ends the oldest socket of a name. It returns false if there is
// none.
func (r *registry) evictOldest(kind nameKind, name string) bool {
	s := r.chooseOldest(kind, name)
	if s != nil {
		endEvicted([]*Socket{s})
	}
	return s != nil
}

// chooseOldest marks the oldest socket of a name as leaving, and returns it. It
// returns nil if there is none.
func (r *registry) chooseOldest(kind nameKind, name string) *Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rings[kind][name].staying() == 0 {
		return nil
	}
	s := r.rings.oldest(kind, name)
	r.leave(s)
	return s
}
