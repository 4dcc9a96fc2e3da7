package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// A Service logs users in over HTTP, and keeps their sessions. It is an
// [http.Handler] for all paths below [Config.Prefix]. It is safe for
// concurrent use.
type Service struct {
	proxies  *forwarded.Policy // of the guard
	cookies  *cookies
	origins  *origins
	attempts *attempts
	sessions *sessions
	log      *slog.Logger

	respond   *responder
	endpoints []problem.Endpoint
	mux       http.Handler // of endpoints
}

// New returns a service. It reports every error of c at once, each a
// [*FieldError].
func New(c Config) (*Service, error) {
	c, wrong := c.Check()
	guard, err := readGuard(c)
	for _, f := range wrong {
		err = errors.Join(err, f)
	}
	if err != nil {
		return nil, err
	}
	s := &Service{proxies: guard.proxies, cookies: guard.cookies, attempts: newAttempts(max(c.LoginsPerHour, 0)), log: c.Logger}
	issuer, err := newIssuer(c, guard.verifier)
	if err != nil {
		return nil, err
	}
	s.sessions = newSessions(c, issuer)
	if s.origins, err = newOrigins(c, s.cookies); err != nil {
		return nil, err
	}
	s.respond = &responder{guard: c.Guard, cookies: s.cookies, refused: c.Refused, log: c.Logger}
	h := &handlers{
		guard: c.Guard, ending: guard.ending,
		sessions: s.sessions, revoker: s.sessions.revoker, refreshTokens: s.sessions.refreshTokens,
		cookies: s.cookies, origins: s.origins, respond: s.respond, log: c.Logger,
		devices: &devices{keys: c.Keys, tokens: s.cookies.tokens, path: c.Prefix + "/login"},
	}
	if c.Users != nil {
		h.passwords = &passwords{c.Users, s.attempts}
	}
	if guard.hasTickets {
		h.tickets = newTickets(c, s.cookies, s.respond)
	}
	s.endpoints = h.endpoints(c.Prefix)
	s.mux = problem.NewMux(s.endpoints, s.respond.document)
	return s, nil
}

// A guardConfig contains settings of [Config.Guard].
type guardConfig struct {
	verifier   wsauth.Verifier
	ending     *wsauth.Guard // for requests that end sessions; see [Config.EndVerifier]
	cookies    *cookies
	proxies    *forwarded.Policy
	hasTickets bool
}

// readGuard returns the settings of c.Guard that the service also uses.
func readGuard(c Config) (g guardConfig, err error) {
	if c.Guard == nil {
		return g, &FieldError{"Guard", errors.New("required; wsauth.New creates one")}
	}
	var missing error
	g.cookies = &cookies{}
	g.ending, err = c.Guard.With(func(of *wsauth.Config) {
		g.verifier, g.hasTickets = of.Verifier, of.Tickets != nil
		for _, e := range of.Extractors {
			if cookies, ok := e.(wsauth.Cookies); !ok {
				g.cookies.others = append(g.cookies.others, e)
			} else if !g.cookies.enabled {
				g.cookies.tokens, g.cookies.enabled = cookies, true
			}
		}
		trusted, _ := forwarded.ParseNetworks(of.TrustedProxies) // the guard has checked them
		g.proxies = &forwarded.Policy{
			Trusted: trusted, Source: forwarded.Source(of.ForwardedSource),
			Scheme: of.ForwardedScheme, Host: of.ForwardedHost, Port: of.ForwardedPort,
		}
		if of.Revocations == nil {
			missing = errors.New("it has no Revocations, which ending sessions requires")
		}
		if c.EndVerifier != nil {
			of.Verifier = c.EndVerifier
		}
	})
	if err = errors.Join(missing, err); err != nil {
		return g, &FieldError{"Guard", err}
	}
	return g, nil
}

// ServeHTTP answers r.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = s.proxies.Identify(r)
	if len(r.Header["Upgrade"]) > 0 { // a server may ignore it (RFC 9110 section 7.8)
		r = r.Clone(r.Context())
		delete(r.Header, "Upgrade")
	}
	if err := s.origins.check(r); err != nil {
		s.respond.problem(w, r, http.StatusForbidden, "origin_not_allowed", crossOriginDetail)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Patterns returns the patterns of [http.ServeMux] for the endpoints, such as
// "POST /auth/login", for a server that has other handlers below
// [Config.Prefix].
func (s *Service) Patterns() []string {
	patterns := make([]string, len(s.endpoints))
	for i, e := range s.endpoints {
		patterns[i] = e.Method + " " + e.Path
	}
	return patterns
}

// CheckOrigin returns an error if r may change something and was sent by a page
// of another origin that neither [Config.Origins] nor [Config.CrossOrigin]
// allows. ServeHTTP and [Service.Start] call it.
func (s *Service) CheckOrigin(r *http.Request) error { return s.origins.check(r) }

// StripCookies removes the cookies of the service from the header of a request:
// those with tokens, and those that identify known devices. It is for servers
// that forward requests.
func (s *Service) StripCookies(h http.Header) { s.cookies.strip(h) }

// Start starts a session for a user whom the application has authenticated
// itself, for example with a passkey or its own form, and returns the first
// tokens. If cookies is true, the tokens are for cookies, otherwise for a
// client that stores them itself. r is the request for the login: Start refuses
// it if [Service.CheckOrigin] does, and counts it against
// [Config.LoginsPerHour]. Use [Service.Answer] to answer it with the tokens or
// the error.
func (s *Service) Start(r *http.Request, subject string, cookies bool) (Tokens, error) {
	r = s.proxies.Identify(r)
	if err := s.origins.check(r); err != nil {
		return Tokens{}, err
	}
	if subject == "" || len(subject) > maxName {
		return Tokens{}, fmt.Errorf("login: Start: a subject of %d bytes: %w", len(subject), store.ErrInvalid)
	}
	if cookies && !s.cookies.enabled {
		return Tokens{}, errors.New("login: Start: Config.Guard has no wsauth.Cookies among its Extractors")
	}
	if wait := s.attempts.login(newCaller(r.RemoteAddr, subject, ""), time.Now()); wait > 0 {
		return Tokens{}, &rateError{wait, "Too many logins; wait and try again"}
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	session, err := s.sessions.newSession(ctx, clientOf(r), subject)
	if err != nil {
		return Tokens{}, err
	}
	return s.sessions.start(ctx, session, cookies, loginLog(s.log, r, subject))
}

// Answer answers r with the results of [Service.Start]: with tokens like POST
// /login, or with err.
func (s *Service) Answer(w http.ResponseWriter, r *http.Request, t Tokens, err error) {
	r = s.proxies.Identify(r)
	if err != nil {
		s.respond.fail(w, r, s.log.With("remote", r.RemoteAddr), "login failed", err)
		return
	}
	s.respond.tokens(w, r, t)
}

// SetCookies sets t as cookies of the application's own response, such as a
// redirect. It fails if t is not for cookies; see [Service.Start].
func (s *Service) SetCookies(w http.ResponseWriter, r *http.Request, t Tokens) error {
	if !t.cookies {
		return errors.New("login: SetCookies: the tokens are not for cookies")
	}
	return s.cookies.set(w, s.proxies.Identify(r), t)
}

// Present checks a refresh token that was verified. If the token has been
// exchanged before, Present ends its session and returns a refusal. Use it in
// handlers that accept refresh tokens without exchanging them, and in the
// [wsauth.Config.Authorize] of a guard that accepts them. A token whose sid is
// not a session of [Config.Store] is accepted, because another program has
// issued it. attrs are added to the log. The error is a [*wsauth.Error].
func (s *Service) Present(ctx context.Context, claims *token.Claims, attrs ...any) error {
	return s.sessions.refreshTokens.present(ctx, claims, attrs...)
}

// Sessions returns the sessions of a user, oldest first, at most
// [store.MaxSubjectSessions]. It omits sessions that have been revoked, even if
// the store still has them.
func (s *Service) Sessions(ctx context.Context, subject string) ([]store.Session, error) {
	return s.sessions.list(ctx, subject)
}

// End ends a session, with its tokens and sockets, and returns how many sockets
// it had. The session may belong to another issuer. If the error is
// [store.ErrNotDurable], the session has ended on this node, and with
// [store.ErrUnconfirmed] on all; see [wsauth.Guard.Revoke].
func (s *Service) End(ctx context.Context, sid string) (sockets int, err error) {
	return s.sessions.revoker.guard.Revoke(ctx, revocationOfAny(sid))
}

// EndUser ends all sessions of a user that started until now, with their tokens
// and sockets, and returns how many there were. Call it, for example, after a
// user was removed or changed the password. Sessions that start after EndUser
// has returned are not affected. If EndUser cannot list the sessions, it
// returns an error, but they have ended. If the error is [store.ErrNotDurable],
// they have ended on this node, and with [store.ErrUnconfirmed] on all; see
// [wsauth.Guard.Revoke].
func (s *Service) EndUser(ctx context.Context, subject string) (sessions, sockets int, err error) {
	return s.EndUserBefore(ctx, subject, s.Now(ctx))
}

// Now returns the time by the clock of [Config.Store], which dates sessions, or
// by that of this server if the store does not answer. Use it for
// [Service.EndUserBefore] and [Service.EndAllBefore].
func (s *Service) Now(ctx context.Context) time.Time { return s.sessions.revoker.now(ctx) }

// EndUserBefore is like [Service.EndUser] for the sessions that started at or
// before the given time, which must not be in the future. Sessions whose start
// is in the future were started before the clock was set back. They end, too.
func (s *Service) EndUserBefore(ctx context.Context, subject string, before time.Time) (sessions, sockets int, err error) {
	return s.sessions.revoker.endUser(ctx, subject, before)
}

// EndAllBefore ends the sessions of all users that started at or before the
// given time, which must not be in the future. It returns how many sockets they
// had.
func (s *Service) EndAllBefore(ctx context.Context, before time.Time) (sockets int, err error) {
	return s.sessions.revoker.endAll(ctx, before)
}
