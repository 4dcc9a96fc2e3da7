package wsauth

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// registries contains the open sockets and the followed requests (see
// [Follow]) of a guard and of the guards that [Guard.With] has derived from it.
type registries struct {
	sockets  *registry
	requests *registry // followed ones, without limits
}

// newRegistries returns empty registries. The limits apply to sockets.
func newRegistries(limits Limits) registries {
	open := registries{sockets: newRegistry(limits), requests: newRegistry(Limits{})}
	open.requests.order.numbers = &open.sockets.order.own
	return open
}

// sorted yields the sockets and the followed requests of a name, in the order
// in which they were opened. A ring has another order: that in which they were
// added to it.
func (o registries) sorted(kind nameKind, name string) iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for _, s := range slices.SortedFunc(slices.Values(o.named(kind, name)), compareIDs) {
			if !yield(s) {
				return
			}
		}
	}
}

// inOrder yields the sockets and the followed requests after an ID.
func (o registries) inOrder(after uint64) iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for {
			sockets, last := o.part(after)
			if last == after {
				return
			}
			after = last
			for _, s := range sockets {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// part does what registry.part does, for both sockets and followed requests.
func (o registries) part(after uint64) (open []*Socket, last uint64) {
	sockets, last := o.sockets.part(after)
	requests, lastRequest := o.requests.part(after)
	open = append(sockets, requests...)
	if lastRequest == after {
		return open, last
	}
	if last == after {
		return open, lastRequest
	}
	// Beyond the smaller of the two last IDs, one of the parts may be
	// incomplete.
	last = min(last, lastRequest)
	open = slices.DeleteFunc(open, func(s *Socket) bool { return s.ID() > last })
	slices.SortFunc(open, compareIDs)
	return open, last
}

func compareIDs(a, b *Socket) int { return cmp.Compare(a.ID(), b.ID()) }

// concerned returns the open sockets that a revocation would end, and then the
// followed requests.
func (o registries) concerned(r store.Revocation) []*Socket {
	return append(o.sockets.concerned(r), o.requests.concerned(r)...)
}

// addConcerned adds the sockets that the revocations would end to a set.
func (o registries) addConcerned(set map[*Socket]struct{}, revocations []store.Revocation) {
	for _, r := range revocations {
		for _, s := range o.concerned(r) {
			set[s] = struct{}{}
		}
	}
}

// named returns the sockets and the followed requests of a name.
func (o registries) named(kind nameKind, name string) []*Socket {
	return append(o.sockets.named(kind, name), o.requests.named(kind, name)...)
}

// all returns the sockets and the followed requests.
func (o registries) all() []*Socket {
	return append(o.sockets.all(), o.requests.all()...)
}

// hasClaims reports whether any socket or followed request has claims.
func (o registries) hasClaims() bool { return o.sockets.hasClaims() || o.requests.hasClaims() }

// rename records new claims of s. If it had none, rename uses the reservation,
// and ends sockets to make room for its client. s.mu must be held.
func (o registries) rename(s *Socket, claims *token.Claims, places *reservation) error {
	if s.Claims() != nil {
		return o.of(s).rename(s, claims)
	}
	evicted, err := o.sockets.authenticate(s, claims)
	if err == nil {
		places.commit()
	}
	endEvicted(evicted)
	return err
}

// of returns the registry of s.
func (o registries) of(s *Socket) *registry {
	if s.followed != nil {
		return o.requests
	}
	return o.sockets
}

// endRevoked ends the sockets and the followed requests that a revocation
// concerns.
func (o registries) endRevoked(r store.Revocation) {
	reason := SessionEnded
	if r.Target == store.TargetToken {
		reason = TokenRevoked
	}
	endAll(o.concerned(r), &EndError{Reason: reason, Err: errors.New("revoked by " + r.Target.String())})
}

// endEvery is the time between the ends of two sockets when all of them end.
const endEvery = time.Millisecond

// drain ends the open sockets and the endless responses one after another.
func (o registries) drain(ctx context.Context) {
	isEndless := func(s *Socket) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.followed.transfer == Endless
	}
	open := o.sockets.all()
	for _, s := range o.requests.all() {
		if isEndless(s) {
			open = append(open, s)
		}
	}
	every := endEvery
	if deadline, ok := ctx.Deadline(); ok {
		every = min(every, time.Until(deadline)/2/time.Duration(max(len(open), 1)))
	}
	begun := time.Now()
	for i, s := range open {
		wait(ctx, time.Until(begun.Add(time.Duration(i)*every)))
		s.End(Restarting)
	}
}

// drainLate ends an endless request that drain has missed, because it was not
// yet endless or not yet registered when the guard started to drain. s.mu must
// be held.
func (o registries) drainLate(s *Socket) {
	if f := s.followed; f.registered && f.transfer == Endless && o.sockets.isClosing() {
		s.End(Restarting)
	}
}

// endOverdue ends the sockets whose tokens have expired by the wall clock,
// since their timers may have been suspended.
func (o registries) endOverdue(now time.Time) {
	now = now.Round(0)
	for _, s := range o.all() {
		s.mu.Lock()
		if claims := s.Claims(); claims != nil && !now.Before(claims.ValidUntil()) {
			s.expire()
		}
		s.mu.Unlock()
	}
}
