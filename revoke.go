package wsauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// follow begins to follow the log of revocations.
func (g *Guard) follow(log store.Revocations) error {
	index, err := store.NewIndex(store.IndexConfig{Revocations: log, OnRevoke: g.endRevoked, Logger: g.config.Logger, Now: g.now})
	if err != nil {
		return fmt.Errorf("wsauth: Config.Revocations: %w", err)
	}
	g.revocations = index
	ctx, stop := context.WithCancel(context.Background())
	g.stop, g.stopped = stop, ctx.Done()
	g.pulse.beat(g.now())
	go func() { _ = index.Run(ctx) }() // its error is that of ctx
	go g.watch(ctx)
	return nil
}

// Revoke takes tokens back: it ends the open sockets of this guard that the
// revocations concern, with TokenRevoked for a single token and SessionEnded
// for more, and adds them to the log of Config.Revocations. It returns how
// many sockets those were; other nodes end theirs as soon as they hear of it.
// When it returns nil the revocations are as durable as the store is, and no
// check of this guard lets their tokens pass.
//
// An error that is [store.ErrNotDurable] says that the store did not take
// them, since it is full or fails: they hold on this node only, whose sockets
// have ended, and are written as soon as the store takes them, at the latest
// by [Guard.Shutdown]. A process that is killed before forgets them. After any
// other error the tokens may still be good.
func (g *Guard) Revoke(ctx context.Context, revocations ...store.Revocation) (sockets int, err error) {
	if g.revocations == nil {
		return 0, errors.New("wsauth: Revoke: the guard has no Config.Revocations")
	}
	begun := time.Now()
	concerned := map[*Socket]struct{}{}
	g.addConcerned(concerned, revocations)
	if err = g.revocations.Revoke(ctx, revocations...); err != nil {
		err = fmt.Errorf("wsauth: Revoke: %w", err)
		if !errors.Is(err, store.ErrNotDurable) {
			return 0, err
		}
	}
	// The log's reader may have ended some of them already, and some may have
	// been opened meanwhile.
	g.addConcerned(concerned, revocations)
	for _, r := range revocations {
		g.endRevoked(r)
	}
	g.config.Observer.Revoked(revocations, len(concerned), time.Since(begun))
	return len(concerned), err
}

// RevocationLog is the state of the log of Config.Revocations.
type RevocationLog struct {
	Entries int // that the log holds; 0 if it does not say
	Limit   int // of Entries; 0 if there is none, or the log does not say
	Held    int // revocations that hold on this node only: the log did not take them

	ReadOnly bool // the log takes nothing for now
}

// Degraded reports whether a revocation that is made now, or was made before,
// would be forgotten with this process.
func (l RevocationLog) Degraded() bool {
	return l.Held > 0 || l.ReadOnly || store.Usage{Entries: l.Entries, Limit: l.Limit}.Full()
}

// RevocationLog returns the state of the log as it was a second ago at most,
// if the store answers. It is zero without Config.Revocations.
func (g *Guard) RevocationLog() RevocationLog {
	if g.revocations == nil {
		return RevocationLog{}
	}
	usage := g.revocations.Usage()
	return RevocationLog{Entries: usage.Entries, Limit: usage.Limit, Held: g.revocations.Held(), ReadOnly: usage.ReadOnly}
}

func (g *Guard) addConcerned(concerned map[*Socket]struct{}, revocations []store.Revocation) {
	for _, r := range revocations {
		for _, s := range g.Concerned(r) {
			concerned[s] = struct{}{}
		}
	}
}

// endRevoked ends the sockets that a revocation concerns.
func (g *Guard) endRevoked(r store.Revocation) {
	reason := SessionEnded
	if r.Scope == store.Token {
		reason = TokenRevoked
	}
	cause := errors.New("revoked by " + r.Scope.String())
	endAll(g.Concerned(r), reason.End(cause))
}

// Revoked reports whether tokens with these claims are revoked by the log of
// Config.Revocations. An error says that nobody can know now: there is no log,
// or it was not heard of for longer than Config.Staleness.
func (g *Guard) Revoked(ctx context.Context, claims *token.Claims) (bool, error) {
	if g.revocations == nil {
		return false, errors.New("wsauth: Revoked: the guard has no Config.Revocations")
	}
	if err := g.inContact(ctx); err != nil {
		return false, err
	}
	return g.revocations.Revoked(claims), nil
}

// firstContact is how long a request waits for a guard that was just made to
// have read its revocations.
const firstContact = time.Second

// checkRevoked refuses a token that was revoked, and every token while it
// cannot be known.
func (g *Guard) checkRevoked(ctx context.Context, claims *token.Claims) error {
	if g.revocations != nil {
		if err := g.inContact(ctx); err != nil {
			return err
		}
		if g.revocations.Revoked(claims) {
			return refuse(TokenRevoked, nil)
		}
	}
	if g.config.Revoked == nil {
		return nil
	}
	revoked, err := g.config.Revoked(ctx, claims)
	switch {
	case err != nil:
		return refuse(StoreUnavailable, err)
	case revoked:
		return refuse(TokenRevoked, nil)
	}
	return nil
}

// inContact waits for the first contact with the store, and refuses to decide
// on what was heard of it too long ago.
func (g *Guard) inContact(ctx context.Context) error {
	select {
	case <-g.revocations.Ready():
	default:
		ctx, cancel := context.WithTimeout(ctx, firstContact)
		defer cancel()
		select {
		case <-g.revocations.Ready():
		case <-ctx.Done():
		}
	}
	g.awaitReader(ctx, firstContact)
	return g.trusted()
}
