package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"wsauth/store"
)

// A spread calls the nodes of a store in turn, so that each call sees changes
// that another node has just made.
type spread[S any] struct {
	nodes [3]S
	calls atomic.Uint64
}

// next returns the node for the next call.
func (s *spread[S]) next() S { return s.nodes[s.calls.Add(1)%3] }

// A spreadLog is a [store.Log], or only [store.Revocations], whose calls are
// spread over nodes.
type spreadLog struct{ spread[store.Revocations] }

// onAll returns a log whose calls are spread over the nodes.
func onAll[S store.Revocations](nodes [3]S) *spreadLog {
	return &spreadLog{spread[store.Revocations]{nodes: [3]store.Revocations{nodes[0], nodes[1], nodes[2]}}}
}

// Revoke implements [store.Revocations].
func (s *spreadLog) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.next().Revoke(ctx, revocations...)
}

// Read implements [store.Revocations].
func (s *spreadLog) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	return s.next().Read(ctx, after)
}

// Wait implements [store.Revocations].
func (s *spreadLog) Wait(ctx context.Context, after store.Cursor) error {
	return s.next().Wait(ctx, after)
}

// Publish implements [store.Log]. The nodes must implement it.
func (s *spreadLog) Publish(ctx context.Context, events ...store.Event) error {
	return s.next().(store.Log).Publish(ctx, events...)
}

// A spreadSessions is [store.Sessions] whose calls are spread over nodes.
type spreadSessions struct{ spread[store.Sessions] }

// onAllSessions returns sessions whose calls are spread over the nodes.
func onAllSessions[S store.Sessions](nodes [3]S) *spreadSessions {
	return &spreadSessions{spread[store.Sessions]{nodes: [3]store.Sessions{nodes[0], nodes[1], nodes[2]}}}
}

// Now implements [store.Clock].
func (s *spreadSessions) Now(ctx context.Context) (time.Time, error) { return s.next().Now(ctx) }

// BeginSession implements [store.Sessions].
func (s *spreadSessions) BeginSession(ctx context.Context, session store.Session) error {
	return s.next().BeginSession(ctx, session)
}

// RotateSession implements [store.Sessions].
func (s *spreadSessions) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	return s.next().RotateSession(ctx, r)
}

// PresentSession implements [store.Sessions].
func (s *spreadSessions) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	return s.next().PresentSession(ctx, p)
}

// EndSession implements [store.Sessions].
func (s *spreadSessions) EndSession(ctx context.Context, subject, id string) error {
	return s.next().EndSession(ctx, subject, id)
}

// FindSession implements [store.Sessions].
func (s *spreadSessions) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	return s.next().FindSession(ctx, subject, id)
}

// ListSessions implements [store.Sessions].
func (s *spreadSessions) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	return s.next().ListSessions(ctx, subject)
}

// A spreadTickets is [store.Tickets] whose calls are spread over nodes.
type spreadTickets struct{ spread[store.Tickets] }

// onAllTickets returns tickets whose calls are spread over the nodes.
func onAllTickets[S store.Tickets](nodes [3]S) *spreadTickets {
	return &spreadTickets{spread[store.Tickets]{nodes: [3]store.Tickets{nodes[0], nodes[1], nodes[2]}}}
}

// PutTicket implements [store.Tickets].
func (s *spreadTickets) PutTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	return s.next().PutTicket(ctx, key, value, expires)
}

// TakeTicket implements [store.Tickets].
func (s *spreadTickets) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	return s.next().TakeTicket(ctx, key)
}
