package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
	"wsauth/store"
	"wsauth/token"
)

// A Service logs users in over HTTP, and keeps their sessions. It is an
// [http.Handler] for all paths below [Config.Prefix]. It is safe for
// concurrent use.
type Service struct {
	config   Config // complete
	guard    *wsauth.Guard
	ending   *wsauth.Guard   // for requests that end sessions; see Config.EndVerifier
	verifier wsauth.Verifier // of guard
	issuer   *token.Issuer
	store    store.Sessions
	log      *slog.Logger

	cookies     *cookies
	devices     *devices
	origins     *origins
	proxies     *forwarded.Policy // of guard
	endpoints   []problem.Endpoint
	mux         http.Handler // of endpoints
	attempts    *attempts
	tickets     *ratelimit.Limiter
	lostCookies lostCookies
}

// New returns a service. It reports every error of c at once, each a
// [*FieldError].
func New(c Config) (*Service, error) {
	c, wrong := c.Check()
	s := &Service{
		config:   c,
		guard:    c.Guard,
		store:    c.Store,
		log:      c.Logger,
		attempts: newAttempts(max(c.LoginsPerHour, 0)),
	}
	hasTickets, err := s.readGuard()
	for _, f := range wrong {
		err = errors.Join(err, f)
	}
	if err != nil {
		return nil, err
	}
	s.issuer, err = token.NewIssuer(token.IssuerConfig{Key: c.Keys, Issuer: c.Issuer, AccessTTL: c.AccessTTL, RefreshTTL: c.RefreshTTL})
	if err != nil {
		return nil, &FieldError{"Issuer", err}
	}
	if err := s.tryKeys(); err != nil {
		return nil, &FieldError{"Keys", err}
	}
	s.devices = &devices{keys: c.Keys, tokens: s.cookies.tokens, path: c.Prefix + "/login"}
	if s.origins, err = newOrigins(c, s.cookies); err != nil {
		return nil, err
	}
	s.tickets = newTicketLimiter(c)
	s.endpoints = s.newEndpoints(hasTickets)
	s.mux = problem.NewMux(s.endpoints, s.answerProblem)
	return s, nil
}

// readGuard copies from Config.Guard the settings that requests for tokens
// share with those that the guard checks.
func (s *Service) readGuard() (hasTickets bool, err error) {
	if s.guard == nil {
		return false, &FieldError{"Guard", errors.New("required; wsauth.New makes one")}
	}
	var missing error
	s.cookies = &cookies{}
	s.ending, err = s.guard.With(func(c *wsauth.Config) {
		s.verifier, hasTickets = c.Verifier, c.Tickets != nil
		for _, l := range c.Extractors {
			if cookies, ok := l.(wsauth.Cookies); !ok {
				s.cookies.others = append(s.cookies.others, l)
			} else if !s.cookies.enabled {
				s.cookies.tokens, s.cookies.enabled = cookies, true
			}
		}
		trusted, _ := forwarded.ParseNetworks(c.TrustedProxies) // the guard has checked them
		s.proxies = &forwarded.Policy{
			Trusted: trusted, Source: forwarded.Source(c.ForwardedSource),
			Scheme: c.ForwardedScheme, Host: c.ForwardedHost, Port: c.ForwardedPort,
		}
		if c.Revocations == nil {
			missing = errors.New("it has no Revocations, which ending sessions requires")
		}
		if s.config.EndVerifier != nil {
			c.Verifier = s.config.EndVerifier
		}
	})
	if err = errors.Join(missing, err); err != nil {
		return false, &FieldError{"Guard", err}
	}
	return hasTickets, nil
}

// tryKeys returns an error if the guard refuses the tokens that Config.Keys
// sign. A verifier that cannot tell now, such as one whose keys have to be
// fetched, is not an error.
func (s *Service) tryKeys() error {
	made, err := s.issuer.Access("someone", token.Options{SessionID: store.NewSessionID()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = s.verifier.Verify(ctx, made.Raw)
	if refused, ok := errors.AsType[*token.Error](err); ok {
		return fmt.Errorf("the verifier of Guard refuses the tokens that they sign: %w", refused)
	}
	return nil
}

// newEndpoints returns the endpoints of the service. doc.go has the same table.
func (s *Service) newEndpoints(hasTickets bool) []problem.Endpoint {
	at := func(method, path string, h http.HandlerFunc) problem.Endpoint {
		return problem.Endpoint{Method: method, Path: s.config.Prefix + path, Handler: h}
	}
	all := []problem.Endpoint{
		at(http.MethodPost, "/refresh", s.refresh),
		at(http.MethodPost, "/logout", s.logout),
		at(http.MethodPost, "/logout-everywhere", s.logoutEverywhere),
		at(http.MethodGet, "/sessions", s.sessions),
		at(http.MethodDelete, "/sessions/{sid}", s.endOne),
		at(http.MethodGet, "/session", s.session),
	}
	if s.config.Users != nil {
		all = append(all, at(http.MethodPost, "/login", s.login), at(http.MethodPost, "/fresh", s.fresh))
	}
	if hasTickets {
		all = append(all, at(http.MethodPost, "/ticket", s.ticket))
	}
	return all
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

// ServeHTTP answers r.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = s.proxies.Identify(r)
	if len(r.Header["Upgrade"]) > 0 { // a server may ignore it (RFC 9110 section 7.8)
		r = r.Clone(r.Context())
		delete(r.Header, "Upgrade")
	}
	if err := s.origins.check(r); err != nil {
		s.problem(w, r, http.StatusForbidden, "origin_not_allowed", crossOriginDetail)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// CheckOrigin returns an error if r may change something and was sent by a
// page of another origin that may not send it, by [Config.Origins] and
// [Config.CrossOrigin]. ServeHTTP and [Service.Start] call it.
func (s *Service) CheckOrigin(r *http.Request) error { return s.origins.check(r) }

// StripCookies removes the cookies of the service from the header of a
// request: those of tokens, and those by which devices are recognized. It is
// for servers that forward requests.
func (s *Service) StripCookies(h http.Header) { s.cookies.strip(h) }

// members describes the members of all bodies, for [problem.ReadJSON].
var members = map[jsontext.Pointer]string{
	"/username": "username must be a string",
	"/password": "password must be a string",
	"/cookies":  "cookies must be true or false",
	"/path":     "path must be a string",
}

// readJSON reads the body of r into v. If it cannot, it answers r and reports
// false.
func (s *Service) readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if fault := problem.ReadJSON(w, r, v, members); fault != nil {
		s.answerProblem(w, r, *fault)
		return false
	}
	return true
}
