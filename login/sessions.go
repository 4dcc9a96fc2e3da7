package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/store"
	"wsauth/token"
)

const maxSessions = 100 // of one user; one more ends the least recently used

// sessions starts, refreshes and lists the sessions of users.
type sessions struct {
	store         store.Sessions
	guard         *wsauth.Guard
	issuer        *issuer
	revoker       *revoker
	refreshTokens *refreshTokens
	log           *slog.Logger

	refreshTTL, sessionTTL time.Duration
}

func newSessions(c Config, issuer *issuer) *sessions {
	c.Store = acceptedSessions{c.Store, c.Logger}
	revoker := &revoker{guard: c.Guard, store: c.Store, log: c.Logger, accessTTL: c.AccessTTL, refreshTTL: c.RefreshTTL}
	return &sessions{
		store: c.Store, guard: c.Guard, issuer: issuer, revoker: revoker, log: c.Logger, refreshTTL: c.RefreshTTL, sessionTTL: c.SessionTTL,
		refreshTokens: &refreshTokens{
			store: c.Store, guard: c.Guard, revoker: revoker, log: c.Logger, ttl: c.RefreshTTL, grace: max(c.RefreshGrace, 0), retry: max(c.RefreshRetry, 0),
		},
	}
}

// A client is the program that sent a request.
type client struct {
	addr  string // with the port
	host  string // of addr
	agent string // User-Agent
}

// newSession returns a session that starts now, by the clock of the store. It
// does not store it.
func (s *sessions) newSession(ctx context.Context, c client, subject string) (store.Session, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return store.Session{}, err
	}
	return store.Session{
		ID: store.NewSessionID(now), Subject: subject, Current: rand.Text(),
		Started: now, Rotated: now, Expires: now.Add(s.refreshTTL), Ends: now.Add(s.sessionTTL),
		Remote: c.host, Agent: c.agent,
	}, nil
}

// start stores a new session and returns its first tokens.
func (s *sessions) start(ctx context.Context, session store.Session, cookies bool, log *slog.Logger) (Tokens, error) {
	tokens, err := s.issuer.issue(session, cookies, true)
	if err != nil {
		return Tokens{}, err
	}
	if err := s.issuer.checkAlive(ctx, tokens.Access); err != nil {
		return Tokens{}, err
	}
	if err := s.makeRoom(ctx, session.Subject); err != nil {
		return Tokens{}, err
	}
	if err := s.store.BeginSession(ctx, session); err != nil {
		return Tokens{}, err
	}
	// A revocation that was made before the session was stored has not ended
	// it.
	if err := s.issuer.checkAlive(ctx, tokens.Access); err != nil {
		s.revoker.unlist(ctx, session.Subject, session.ID)
		return Tokens{}, err
	}
	log.Info("logged in", "session", session.ID, "cookies", cookies)
	return tokens, nil
}

// makeRoom ends sessions of a user so that one more does not exceed the
// maximum.
func (s *sessions) makeRoom(ctx context.Context, subject string) error {
	all, err := s.store.ListSessions(ctx, subject)
	if err != nil || len(all) < maxSessions {
		return err
	}
	slices.SortFunc(all, func(a, b store.Session) int {
		return cmp.Or(a.Rotated.Compare(b.Rotated), a.Started.Compare(b.Started))
	})
	for _, session := range all[:len(all)-maxSessions+1] {
		if _, err := s.revoker.end(ctx, subject, s.revoker.revocation(session)); !store.InEffect(err) {
			return err
		}
		s.log.Info("session ended", "reason", "too_many", "user", logtext.Short(subject), "session", session.ID)
	}
	return nil
}

// refresh exchanges a refresh token, whose claims were verified, for new tokens
// of the same session, and renews its open sockets. key is the hash of the
// Idempotency-Key, or zero.
func (s *sessions) refresh(ctx context.Context, claims *token.Claims, c client, key store.KeyHash) (Tokens, error) {
	if err := s.issuer.checkNext(ctx, claims); err != nil && !errors.Is(err, errEndedMeanwhile) { // the store decides whether this is an error
		return Tokens{}, err
	}
	session, err := s.refreshTokens.rotate(ctx, claims, c, key)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issuer.issue(session, claims.CSRF != "", false)
	if err != nil {
		return Tokens{}, err
	}
	s.log.Info("refreshed", "user", logtext.Short(claims.Subject), "session", session.ID, "sockets", s.renew(ctx, tokens.Access))
	return tokens, nil
}

// stepUp issues a fresh access token for the session of claims, and renews the
// open sockets of the session.
func (s *sessions) stepUp(ctx context.Context, claims *token.Claims, log *slog.Logger) (Tokens, error) {
	session, err := s.store.FindSession(ctx, claims.Subject, claims.SessionID)
	if errors.Is(err, store.ErrNotFound) {
		return Tokens{}, &refusal{errSessionEnded(err)}
	}
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issuer.issueAccess(session, claims.CSRF != "", true)
	if err == nil {
		err = s.issuer.checkAlive(ctx, tokens.Access)
	}
	if errors.Is(err, errEndedMeanwhile) {
		return Tokens{}, &refusal{errSessionEnded(err)}
	}
	if err != nil {
		return Tokens{}, err
	}
	log.Info("stepped up", "sockets", s.renew(ctx, tokens.Access))
	return tokens, nil
}

// renew renews the open sockets of a session with its new access token, and
// returns their number. If it fails, the sockets end when their current token
// expires.
func (s *sessions) renew(ctx context.Context, access *token.Token) int {
	sockets, err := s.guard.Renew(ctx, access.Raw)
	if err != nil {
		s.log.Error("cannot renew sockets", "session", access.Claims.SessionID, "error", err)
	}
	return sockets
}

// list returns the sessions of a user; see [Service.Sessions]. It removes those
// that have been revoked from the store.
func (s *sessions) list(ctx context.Context, subject string) ([]store.Session, error) {
	all, err := s.store.ListSessions(ctx, subject)
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, session := range all {
		revoked, err := s.revoker.isRevoked(ctx, session)
		if err != nil {
			return nil, err
		}
		if revoked {
			s.revoker.unlist(ctx, subject, session.ID)
			continue
		}
		live = append(live, session)
	}
	return live, nil
}
