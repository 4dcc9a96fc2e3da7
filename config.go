package wsauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"

	"wsauth/internal/httpx"
	"wsauth/store"
	"wsauth/token"
)

// A Verifier verifies a token and returns its claims. [*token.Verifier]
// implements it.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*token.Claims, error)
}

// A Refusal says how a guard refuses an upgrade. Plain HTTP requests are
// always refused in HTTP.
type Refusal int

const (
	// RefuseHTTP answers the handshake with an HTTP status, as clients other
	// than browsers expect. A browser tells its page only that the socket
	// failed (close code 1006).
	RefuseHTTP Refusal = iota

	// RefuseClose accepts the handshake and then sends a close frame with a
	// code and a reason, which a page can read. A foreign origin and a
	// malformed handshake are still refused in HTTP, without a socket.
	RefuseClose
)

// WhenStale says what happens to open sockets when the store of revocations has
// not answered for too long; see [Config.Staleness].
type WhenStale int

const (
	// EndSockets ends the sockets with StoreUnavailable, one after another.
	EndSockets WhenStale = iota + 1

	// KeepSockets keeps the sockets open until their tokens expire. Until the
	// store answers again, revoked tokens keep their sockets.
	KeepSockets
)

// Config configures a [Guard]. Only Verifier is required.
type Config struct {
	// Verifier verifies tokens. Required.
	Verifier Verifier

	// Extractors read the credential from a request. A request with more than
	// one credential is refused (RFC 6750 section 2). Only a ticket may be
	// accompanied by credentials in cookies, which are then ignored. Default:
	// the Authorization header, [Header].
	Extractors []Extractor

	// AppParameters are query parameters that belong to the application, such
	// as an access_token for a service behind it. Whatever their values, they
	// are not credentials and stay in the request. Without this setting, a
	// parameter that no extractor reads is refused if its name is access_token,
	// or if its name is token and its value is a JWT: the guard would never
	// check that credential. "*" means every parameter. Parameters that
	// Extractors read are not allowed. Default: none.
	AppParameters []string

	// Origins are the origins whose pages may open sockets. Each is exactly a
	// scheme, a host, and a port unless it is the default port of the scheme,
	// such as "https://app.example" (RFC 6454 section 6.2). Default: the origin
	// to which the request is sent. Behind a proxy that terminates TLS, the
	// guard sees http where the page has https, so the default refuses its
	// pages: add the proxy to TrustedProxies, or the origin here. If a listed
	// origin is another site, its pages may open sockets, but not with cookies.
	Origins []string

	// AnyOrigin lets pages of every origin open sockets, for an API whose
	// clients send a token that no browser sends on its own. Extractors must
	// not contain cookies, and an upgrade with another credential that is
	// [Credential.Ambient] is refused: any website could use the credentials of
	// its visitors.
	AnyOrigin bool

	// TrustedProxies are the proxies that are trusted to identify their
	// clients: addresses, networks such as "10.0.0.0/8", "private" for private
	// networks and this machine, or "unix" for clients of a Unix socket.
	// Forwarding headers of other peers are ignored. The guard uses the client
	// address that a trusted proxy reports for limits, logs and
	// [Socket.RemoteAddr], and the scheme and host for the default of Origins
	// and for cookies. None of these grants access: for Authorize and for
	// handlers, Request.RemoteAddr remains the peer of the connection, as in
	// net/http. Default: none.
	TrustedProxies []string

	// ForwardedSource is the header in which trusted proxies identify their
	// clients: XForwardedFor or Forwarded. The other one is ignored, since
	// proxies pass on what clients send. Default: XForwardedFor.
	ForwardedSource ForwardedSource

	// ForwardedScheme is the scheme of every request from a trusted proxy,
	// "http" or "https", for a proxy that terminates TLS without reporting it.
	// If it is set, a scheme that the proxy reports is ignored. Default: the
	// scheme that the proxy reports, or else that of the connection.
	ForwardedScheme string

	// ForwardedHost takes the host from X-Forwarded-Host, or from the host in
	// the Forwarded header, instead of the Host header. Set it only if the
	// proxy replaces the values that clients send.
	ForwardedHost bool

	// ForwardedPort takes the port of the host from X-Forwarded-Port, for a
	// proxy that omits it from the Host header.
	ForwardedPort bool

	// InsecureAnyOrigin lets pages of every origin open sockets: any website
	// can then use the cookies of its visitors.
	InsecureAnyOrigin bool

	// Revocations is the log of revocations. The guard follows it from [New]
	// to [Guard.Shutdown]: it refuses revoked tokens and ends their sockets,
	// no matter which process has added the revocation. Default: none, and
	// nothing can be revoked.
	Revocations store.Revocations

	// OnEvent is called for each event in the log whose kind the guard does not
	// know, if Revocations is a [store.Log]: once for each, in the order of the
	// log. It must not block. Kinds that begin with "wsauth." are reserved.
	// Default: none.
	OnEvent func(store.Event)

	// MaxTokenLife is the longest lifetime of a token that Verifier accepts,
	// from its issue to its expiry. The guard keeps revocations that long, so
	// that no revoked token becomes valid again. A longer value costs memory;
	// New refuses a value below the limit of Verifier. Default: the limit of a
	// verifier of package token ([token.VerifierConfig.MaxLifetime]);
	// [token.DefaultMaxLifetime] for any other.
	MaxTokenLife time.Duration

	// Staleness is how long the guard relies on its copy of Revocations if the
	// store does not answer. After that, the guard refuses new requests with
	// StoreUnavailable, because it no longer learns of revocations. WhenStale
	// says what happens to open sockets. At least 3 s. Default: 10 s.
	Staleness time.Duration

	// WhenStale says what happens to the open sockets of a guard whose store
	// has not answered for Staleness. Default: EndSockets.
	WhenStale WhenStale

	// Denylist reports whether the application has revoked a valid token. The
	// guard calls it for every request, handshake and renewal, after
	// Revocations. It does not end open sockets. The guard refuses the request
	// with 503 if Denylist returns an error. Default: none.
	Denylist func(ctx context.Context, claims *token.Claims) (bool, error)

	// Tickets stores the tickets of [Guard.IssueTicket]. Required by the
	// extractor [Ticket].
	Tickets store.Tickets

	// TicketKey is a secret of at least 32 bytes with which the guard
	// recognizes the tickets of [Guard.IssueTicket], so that forged ones cost
	// Tickets no call. All nodes with the same Tickets require the same key.
	// Default: a random key of this process.
	TicketKey []byte

	// Limits bound the resources that clients use. Default: see [Limits].
	Limits Limits

	// Counters count the sockets of all nodes, so that Limits.PerSubject,
	// PerSession and PerAddress apply to all nodes together. Each such limit
	// costs a socket one call before it is admitted. If Counters do not answer
	// within a second, sockets are refused with StoreUnavailable. Counters
	// require Revocations, which must be a [store.Log] if Limits.WhenFull is
	// [EndOldest]. Default: each node has its own limits.
	Counters store.Counters

	// Node returns the ID of this node in Counters. The application must keep
	// the lease of the node; see [store.Nodes]. If the ID changes, because the
	// lease had ended, the guard soon counts its sockets again. Node must not
	// block. Required by Counters.
	Node func() string

	// Authorize is an access check of the application, called last. claims is
	// nil if the requirement is [Optional] and there is no credential. An
	// [*Error] refuses the request with its reason, and any other error with
	// 403.
	//
	// When a socket is renewed, Authorize is called again with the new claims.
	// The guard does not keep the request while the socket is open: r then has
	// only the method, the host, the URL's path and RemoteAddr of the
	// handshake, and the values of its context. If the token comes in the
	// first message, the first call gets the whole request, without
	// credentials. Default: allow.
	Authorize func(r *http.Request, claims *token.Claims) error

	// KeepCredential leaves the credential in the request that the handler
	// receives, for handlers that verify it again. Default: it is removed.
	KeepCredential bool

	// Refusal says how upgrades are refused. Default: RefuseHTTP.
	Refusal Refusal

	// Observer is notified of each refusal, and when a socket opens or ends.
	// Default: none.
	Observer Observer

	// Logger receives a line for each refusal, and when a socket opens or
	// ends, with its user and session but no secrets. Default: no log.
	Logger *slog.Logger
}

// withDefaults validates c and sets defaults. The error joins all errors, each
// with the name of its field.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("wsauth: Config."+format, args...))
	}
	if isNil(c.Verifier) {
		fault("Verifier: required; token.NewVerifier makes one")
	}
	extractors, wrong := c.plainExtractors()
	c.Extractors = extractors
	faults = append(faults, wrong...)
	faults = append(faults, c.checkAppParameters()...)
	faults = append(faults, c.checkAnyOrigin()...)
	faults = append(faults, c.checkStores()...)
	if _, err := c.proxies(); err != nil {
		faults = append(faults, err)
	}
	if _, err := c.ticketKey(); err != nil {
		faults = append(faults, err)
	}
	var err error
	if c.Limits, err = c.Limits.withDefaults(); err != nil {
		faults = append(faults, err)
	}
	if c.MaxTokenLife, err = c.maxTokenLife(); err != nil {
		faults = append(faults, err)
	}
	if c.Staleness == 0 {
		c.Staleness = 10 * time.Second
	}
	if c.Staleness < minStaleness {
		fault("Staleness: %v is less than %v; the store is asked once a second", c.Staleness, minStaleness)
	}
	if c.WhenStale == 0 {
		c.WhenStale = EndSockets
	}
	if c.WhenStale != EndSockets && c.WhenStale != KeepSockets {
		fault("WhenStale: %d is neither EndSockets nor KeepSockets", c.WhenStale)
	}
	for i, o := range c.Origins {
		if err := httpx.CheckOrigin(o); err != nil {
			fault("Origins[%d]: %w", i, err)
		}
	}
	if c.Refusal != RefuseHTTP && c.Refusal != RefuseClose {
		fault("Refusal: %d is neither RefuseHTTP nor RefuseClose", c.Refusal)
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}

// plainExtractors validates the extractors and returns them without pointers:
// the guard finds Cookies, Ticket and FirstMessage by their type.
func (c Config) plainExtractors() ([]Extractor, []error) {
	if len(c.Extractors) == 0 {
		return []Extractor{Header{}}, nil
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("wsauth: Config."+format, args...))
	}
	plain := slices.Clone(c.Extractors)
	for i, e := range plain {
		if isNil(e) {
			fault("Extractors[%d]: nil", i)
			continue
		}
		switch p := e.(type) {
		case *Cookies:
			e = *p
		case *Ticket:
			e = *p
		case *FirstMessage:
			e = *p
		}
		plain[i] = e
		for j, other := range plain[:i] {
			if reflect.DeepEqual(e, other) {
				fault("Extractors[%d]: the same as Extractors[%d]; every credential would be found twice", i, j)
			}
		}
		if v, ok := e.(interface{ validate() error }); ok {
			if err := v.validate(); err != nil {
				fault("Extractors[%d]: %w", i, err)
			}
		}
	}
	return plain, faults
}

const minStaleness = 3 * time.Second

// maxTokenLife returns MaxTokenLife, or its default.
func (c Config) maxTokenLife() (time.Duration, error) {
	bound := time.Duration(0)
	if v, ok := c.Verifier.(interface{ MaxLifetime() time.Duration }); ok && !isNil(c.Verifier) {
		bound = max(v.MaxLifetime(), 0) // a custom verifier may have none
	}
	switch {
	case c.MaxTokenLife == 0:
		return cmp.Or(bound, token.DefaultMaxLifetime), nil
	case c.MaxTokenLife < bound:
		return 0, fmt.Errorf("wsauth: Config.MaxTokenLife: %v is less than the %v that Verifier accepts; a revoked token could become valid again", c.MaxTokenLife, bound)
	}
	return c.MaxTokenLife, nil
}

// checkStores reports stores that are nil pointers or lack what they require,
// extractors without the store that they require, and a second FirstMessage.
func (c Config) checkStores() []error {
	var faults []error
	if c.Revocations != nil && isNil(c.Revocations) {
		faults = append(faults, errors.New("wsauth: Config.Revocations: a nil pointer"))
	}
	if c.Counters != nil {
		_, hasEvents := c.Revocations.(store.Log)
		switch {
		case isNil(c.Counters):
			faults = append(faults, errors.New("wsauth: Config.Counters: a nil pointer"))
		case c.Node == nil:
			faults = append(faults, errors.New("wsauth: Config.Node: required by Counters"))
		case c.Revocations == nil:
			faults = append(faults, errors.New("wsauth: Config.Revocations: required by Counters"))
		case c.Limits.WhenFull == EndOldest && !hasEvents:
			faults = append(faults, errors.New("wsauth: Config.Revocations: must be a store.Log, by which nodes ask each other to end the oldest socket"))
		}
	}
	first := 0
	for i, e := range c.Extractors {
		switch e.(type) {
		case Ticket:
			if c.Tickets == nil || isNil(c.Tickets) {
				faults = append(faults, fmt.Errorf("wsauth: Config.Tickets: required by Extractors[%d]; memory.New makes one", i))
			}
		case FirstMessage:
			if first++; first > 1 {
				faults = append(faults, fmt.Errorf("wsauth: Config.Extractors[%d]: a second FirstMessage", i))
			}
		}
	}
	return faults
}

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	return v == nil || reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil()
}
