package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/internal/urlpath"
	"wsauth/store"
	"wsauth/token"
)

// A Config configures a [Service]. Guard, Store and Keys are required.
type Config struct {
	// Guard checks the tokens of requests, and renews and ends the sockets of
	// sessions. Its verifier must accept the tokens that Keys sign. It needs
	// [wsauth.Config.Revocations]. With [wsauth.Config.Tickets], the service
	// issues tickets. With [wsauth.Cookies] among its Extractors, browsers can
	// keep their tokens in these cookies. Required.
	Guard *wsauth.Guard

	// Store keeps the sessions. The service does not close it. Required.
	Store store.Sessions

	// Keys sign the tokens and the cookies that identify known devices. Use a
	// [*token.KeySet], or an implementation whose keys can be replaced while
	// the service runs. Required.
	Keys Keys

	// Issuer is the iss of the tokens. Default: none.
	Issuer string

	// Users checks names and passwords. Default: none. Without it, the service
	// serves neither /login nor /fresh, and sessions begin with
	// [Service.Start].
	Users Authenticator

	// Prefix is the path below which the service answers. Default: "/auth".
	Prefix string

	// AccessTTL is the maximum lifetime of an access token. A socket ends when
	// its token expires, unless its session is refreshed. If AccessTTL is a
	// minute or more, each session gets a random lifetime of 90 to 100 % of it.
	// Otherwise clients that logged in at the same time, as after an outage,
	// would refresh at the same time forever. Whole seconds, at least one.
	// Default: 15 minutes.
	AccessTTL time.Duration

	// RefreshTTL is the lifetime of a refresh token. A session that is not used
	// for this long expires. Whole seconds, longer than AccessTTL, at most
	// [MaxTTL]. Default: 30 days.
	RefreshTTL time.Duration

	// SessionTTL is the maximum lifetime of a session, however often it is
	// refreshed. None of its tokens and sockets lives longer. Whole seconds, at
	// least RefreshTTL, at most [MaxSessionTTL]. Default: 90 days, or
	// RefreshTTL if that is longer.
	SessionTTL time.Duration

	// RefreshGrace is how long after a refresh the replaced refresh token may
	// still be used: the answer may have been lost, or two windows of a browser
	// may refresh at the same time. Each use returns the same new refresh
	// token. A later use ends the session, since the token may have been
	// stolen. A negative value means no grace. At most [MaxRefreshGrace].
	// Default: 10 seconds.
	RefreshGrace time.Duration

	// RefreshRetry is how long after a refresh a client that lost the answer
	// may repeat the request with the same Idempotency-Key. The client sends
	// the replaced refresh token again and gets the same new one. This is
	// possible only until the new token is used. A negative value allows no
	// retries except within RefreshGrace. At most, and by default,
	// [MaxRefreshRetry].
	RefreshRetry time.Duration

	// LoginsPerHour is how often one user can log in from one network (an IPv4
	// address or an IPv6 /64): that many times at once, and that many times per
	// hour after that. Each session that is ended takes space in the log of
	// revocations. A negative value means no limit. Default: 300.
	LoginsPerHour int

	// TicketBurst is how many tickets a session gets at once. Each opens one
	// socket. At least 1, at most [MaxTicketBurst]. Default: 100.
	TicketBurst int

	// TicketRate is how many tickets per second a session gets after
	// TicketBurst. At least 1, at most [MaxTicketRate]. Default: 2.
	TicketRate int

	// Origins are further origins whose pages may use the service, besides the
	// origin to which a request is sent. Write each exactly as browsers send
	// it. Default: none.
	Origins []string

	// CrossOrigin is for a server that implements CORS. It reports what pages
	// of all other origins may send: tokens allows requests without cookies of
	// the service, cookies also allows requests with them. A token that a page
	// adds itself needs no protection from other pages; cookies do. If cookies
	// is false, a login from such a page cannot request cookies. Default:
	// neither.
	CrossOrigin func(r *http.Request) (tokens, cookies bool)

	// TicketPath returns an error if no ticket may be issued for a path. path
	// is canonical. The answer contains the text of the error. Default: every
	// path gets a ticket.
	TicketPath func(r *http.Request, path string) error

	// Welcome reports whether sockets with this path begin with a welcome
	// message. If so, the browser module waits for it. Default: none do.
	Welcome func(path string) bool

	// EndVerifier verifies tokens in requests that end sessions. If the clock
	// is set back, tokens issued before that are refused until it has caught
	// up. A verifier with [token.VerifierConfig.IssuedAnyTime] lets their users
	// log out in the meantime. Default: the verifier of Guard.
	EndVerifier wsauth.Verifier

	// Refused is called before the service itself refuses a request, with the
	// reason in the answer, which may be "". Requests that Guard refuses are
	// reported to its [wsauth.Observer] instead. Default: none.
	Refused func(r *http.Request, reason string)

	// Logger gets a line for each login, logout and refusal, with the user and
	// the session. It never gets a token, a cookie or a password. Default: no
	// log.
	Logger *slog.Logger
}

// Keys are the keys of a service. One of them signs, and all of them verify.
type Keys interface {
	token.Signer
	token.KeySource
}

// An Authenticator checks names and passwords. [*Users] is one.
type Authenticator interface {
	// Authenticate reports whether password is that of the user called name. A
	// wrong password and an unknown user are not errors, and must take the same
	// time. An error means that the password could not be checked, for example
	// because ctx is done: it has a timeout of ten seconds. Both strings come
	// from the client. They are valid UTF-8, the name at most 256 bytes long
	// and the password at most 1024.
	Authenticate(ctx context.Context, name, password string) (bool, error)
}

// An AuthenticatorFunc is a function that implements [Authenticator].
type AuthenticatorFunc func(ctx context.Context, name, password string) (bool, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, name, password string) (bool, error) {
	return f(ctx, name, password)
}

// Limits of a [Config].
const (
	// MaxTTL is the maximum lifetime of a token. Verifiers refuse tokens that
	// live longer.
	MaxTTL = 366 * 24 * time.Hour

	// MaxSessionTTL is the maximum lifetime of a session.
	MaxSessionTTL = 10 * MaxTTL

	// MaxRefreshGrace is the maximum time for which a refresh token may be
	// used again.
	MaxRefreshGrace = time.Minute

	// MaxRefreshRetry is the maximum time for which a refresh may be repeated
	// with its Idempotency-Key.
	MaxRefreshRetry = 24 * time.Hour

	// MaxTicketBurst is the maximum number of tickets at once.
	MaxTicketBurst = 100_000

	// MaxTicketRate is the maximum number of tickets per second.
	MaxTicketRate = 1000
)

const (
	defaultPrefix        = "/auth"
	defaultAccessTTL     = 15 * time.Minute
	defaultRefreshTTL    = 30 * 24 * time.Hour
	defaultSessionTTL    = 90 * 24 * time.Hour
	defaultRefreshGrace  = 10 * time.Second
	defaultRefreshRetry  = MaxRefreshRetry
	defaultLoginsPerHour = 300
	defaultTicketBurst   = 100
	defaultTicketRate    = 2
)

// Check returns c with the defaults that [New] sets, and the errors of all
// fields except Guard.
func (c Config) Check() (Config, []*FieldError) {
	c.fill()
	return c, c.faults()
}

// fill sets defaults. It is idempotent.
func (c *Config) fill() {
	c.Prefix = cmp.Or(c.Prefix, defaultPrefix)
	c.AccessTTL = cmp.Or(c.AccessTTL, defaultAccessTTL)
	c.RefreshTTL = cmp.Or(c.RefreshTTL, defaultRefreshTTL)
	c.SessionTTL = cmp.Or(c.SessionTTL, max(defaultSessionTTL, c.RefreshTTL))
	c.RefreshGrace = max(cmp.Or(c.RefreshGrace, defaultRefreshGrace), -1)
	c.RefreshRetry = max(cmp.Or(c.RefreshRetry, defaultRefreshRetry), -1)
	c.LoginsPerHour = max(cmp.Or(c.LoginsPerHour, defaultLoginsPerHour), -1)
	c.TicketBurst = cmp.Or(c.TicketBurst, defaultTicketBurst)
	c.TicketRate = cmp.Or(c.TicketRate, defaultTicketRate)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// faults returns the errors of c, whose defaults must be set.
func (c *Config) faults() (wrong []*FieldError) {
	fault := func(field, format string, args ...any) {
		wrong = append(wrong, &FieldError{Field: field, Err: fmt.Errorf(format, args...)})
	}
	if c.Store == nil {
		fault("Store", "required; memory.New creates one")
	}
	if err := c.checkKeys(); err != nil {
		fault("Keys", "%w", err)
	}
	if err := checkPrefix(c.Prefix); err != nil {
		fault("Prefix", "%w", err)
	}
	if c.AccessTTL < time.Second || c.AccessTTL%time.Second != 0 {
		fault("AccessTTL", "must be whole seconds, at least one")
	}
	if c.RefreshTTL <= c.AccessTTL || c.RefreshTTL > MaxTTL || c.RefreshTTL%time.Second != 0 {
		fault("RefreshTTL", "must be whole seconds, longer than an access token lives (%s), and at most %s", c.AccessTTL, MaxTTL)
	}
	if c.SessionTTL < c.RefreshTTL || c.SessionTTL > MaxSessionTTL || c.SessionTTL%time.Second != 0 {
		fault("SessionTTL", "must be whole seconds, at least as long as a refresh token lives (%s), and at most %s", c.RefreshTTL, MaxSessionTTL)
	}
	if c.RefreshGrace > MaxRefreshGrace {
		fault("RefreshGrace", "must be at most %s", MaxRefreshGrace)
	}
	if c.RefreshRetry > MaxRefreshRetry {
		fault("RefreshRetry", "must be at most %s", MaxRefreshRetry)
	}
	if c.TicketBurst < 1 || c.TicketBurst > MaxTicketBurst {
		fault("TicketBurst", "must be from 1 to %d", MaxTicketBurst)
	}
	if c.TicketRate < 1 || c.TicketRate > MaxTicketRate {
		fault("TicketRate", "must be from 1 to %d", MaxTicketRate)
	}
	for i, o := range c.Origins {
		if err := httpx.CheckOrigin(o); err != nil {
			fault(fmt.Sprintf("Origins[%d]", i), "%w", err)
		}
	}
	return wrong
}

// checkKeys returns an error if there is no key, or none that can sign.
func (c *Config) checkKeys() error {
	if set, fixed := c.Keys.(*token.KeySet); c.Keys == nil || fixed && set == nil {
		return errors.New("required; token.GenerateKey makes one, and token.NewKeySet a set of it")
	}
	if _, err := c.Keys.SigningKey(); err != nil {
		return fmt.Errorf("cannot sign; a private key or an HMAC secret is needed: %w", err)
	}
	return nil
}

// checkPrefix returns an error if [Config.Prefix] is invalid. The prefix
// becomes the path of a cookie, which browsers compare with the path of a
// request as they send it. It also becomes part of patterns of http.ServeMux.
func checkPrefix(p string) error {
	isBad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`%,";\{}?#*`, r) }
	if p[0] != '/' || strings.HasSuffix(p, "/") || urlpath.Clean(p) != p || strings.ContainsFunc(p, isBad) {
		return fmt.Errorf("%q is not a path such as /auth", p)
	}
	return nil
}

// A FieldError is an error in one field of a [Config].
type FieldError struct {
	Field string // such as "AccessTTL" or "Origins[0]"
	Err   error
}

// Error returns the name of the field and what is wrong.
func (f *FieldError) Error() string { return fmt.Sprintf("login: Config.%s: %v", f.Field, f.Err) }

// Unwrap returns Err.
func (f *FieldError) Unwrap() error { return f.Err }
