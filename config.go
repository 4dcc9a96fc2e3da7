package wsauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"wsauth/store"
	"wsauth/token"
)

// A Verifier turns the text of a token into its claims, or refuses it.
// [*token.Verifier] is one.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*token.Claims, error)
}

// A Refusal is the way in which a guard refuses an upgrade. A plain HTTP
// request is always answered in HTTP.
type Refusal int

const (
	// RefuseHTTP answers the handshake with an HTTP status, as clients other
	// than browsers expect. A browser tells its page nothing but that the
	// socket failed (close code 1006).
	RefuseHTTP Refusal = iota

	// RefuseClose accepts the handshake and then sends a close frame with
	// code and reason, which a page can read. A foreign origin and a
	// malformed handshake are still answered in HTTP: they get no socket.
	RefuseClose
)

// Config says what a [Guard] lets pass. Only Verifier is required.
type Config struct {
	// Verifier checks the token. Required.
	Verifier Verifier

	// Locations are the places of a request that may carry the credential. A
	// request carries it in exactly one of them, once (RFC 6750 section 2).
	// Default: the Authorization header, [Header].
	Locations []Location

	// AppParameters are parameters of the query that belong to the application,
	// such as an access_token for a service behind it: whatever they hold is no
	// credential and stays in the request. A parameter called access_token, or
	// called token with a JWT in it, is otherwise refused as a credential that
	// travels where nobody looks for it. "*" stands for every parameter. None
	// may be one that Locations read. Default: none.
	AppParameters []string

	// Origins are the origins whose pages may open sockets, each exactly a
	// scheme, a host and a port that is not the scheme's own, such as
	// "https://app.example" (RFC 6454 section 6.2). Default: the origin that
	// the request itself is sent to. Behind a proxy that ends TLS the default
	// refuses unless the proxy is one of TrustedProxies, because the guard sees
	// http where the page has https: name the proxy there, or the origin here.
	// Cookies that a browser sends from another site are refused even so.
	Origins []string

	// AnyOrigin lets pages of every origin open sockets, for an API whose
	// clients show a token that no browser sends by itself. Cookies must not be
	// among Locations, and an upgrade with another credential that says
	// Ambient is refused: any web site could use that of its visitors.
	AnyOrigin bool

	// TrustedProxies are the proxies that are believed when they say who their
	// clients are: addresses, networks such as "10.0.0.0/8", "private" for the
	// private networks and this machine, or "unix" for the clients of a Unix
	// socket. What others say is not read. The address of a client is for the
	// limits, the logs and [Socket.RemoteAddr]; its scheme and host are for the
	// default of Origins and for cookies. They grant nothing: Request.RemoteAddr
	// stays the peer of the connection, as net/http gives it, for Authorize and
	// for handlers. Default: none.
	TrustedProxies []string

	// ForwardedSource is where trusted proxies say it: XForwardedFor or
	// Forwarded. What they say elsewhere is not read, since proxies pass on
	// what clients send. Default: XForwardedFor.
	ForwardedSource ForwardedSource

	// ForwardedScheme is the scheme of every request that a trusted proxy passes
	// on, "http" or "https", for a proxy that ends TLS and does not say so. What
	// it says is not read then. Default: as the proxy says, or that of the
	// connection.
	ForwardedScheme string

	// ForwardedHost takes the host from X-Forwarded-Host, or from the host of
	// the Forwarded header, in place of the Host header. Set it only if the
	// proxy replaces what clients send there.
	ForwardedHost bool

	// ForwardedPort takes the port of the host from X-Forwarded-Port, for a
	// proxy that leaves it out of the Host header.
	ForwardedPort bool

	// InsecureAnyOrigin lets pages of every origin open sockets: any web site
	// can then use the cookies of its visitors.
	InsecureAnyOrigin bool

	// Revocations is the log of what was revoked. The guard follows it from
	// [New] to [Guard.Shutdown]: it refuses the tokens that are concerned and
	// ends their sockets, whoever added the revocation. Default: none, and
	// nothing can be revoked.
	Revocations store.Revocations

	// Staleness is how long the guard trusts what it knows of Revocations when
	// the store does not answer. After it, new requests are refused with
	// StoreUnavailable, and open sockets end with it: nobody can tell whether
	// they were revoked. At least 3 s. Default: 10 s.
	Staleness time.Duration

	// Revoked is a denylist of the application's own: it is asked whether a
	// token was revoked for every valid token, after Revocations, and knows
	// nothing of sockets that are open, or that are just being opened. An error refuses the request with 503,
	// since a store that does not answer has not said "not revoked". Default:
	// none is revoked.
	Revoked func(ctx context.Context, claims *token.Claims) (bool, error)

	// Tickets keeps the tickets of [Guard.IssueTicket]. Required by the
	// location [Ticket].
	Tickets store.Tickets

	// Limits bound what clients may take. Default: see there.
	Limits Limits

	// Authorize is the application's own rule, asked last. claims is nil where
	// an [Optional] requirement found no credential. An error refuses the
	// request with 403; an [*Error] refuses it as it says. A renewal of a
	// socket asks again, with the new claims and the request of the handshake
	// without its credential, a copy of which is kept for as long as the socket
	// is open. Default: allow.
	Authorize func(r *http.Request, claims *token.Claims) error

	// AuthorizeClaims is a rule that looks at the claims alone, and so keeps no
	// request. Where there are both it is asked before Authorize, and in all
	// else as Authorize is. Default: allow.
	AuthorizeClaims func(claims *token.Claims) error

	// KeepCredential leaves the credential in the request that the handler gets,
	// for one that verifies it once more. Default: no handler sees it.
	KeepCredential bool

	// Refusal is the way in which upgrades are refused. Default: RefuseHTTP.
	Refusal Refusal

	// Observer is told of each refusal, and of each begin and end of a socket.
	// Default: nobody is.
	Observer Observer

	// Logger gets a line for each refusal, and for each begin and end of a socket
	// with its user and session, never with anything secret. Default: no log.
	Logger *slog.Logger
}

// withDefaults checks c and fills what is unset. Every fault is reported, each
// with the name of its field.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("wsauth: Config."+format, args...))
	}
	if isNil(c.Verifier) {
		fault("Verifier: required; token.NewVerifier makes one")
	}
	if len(c.Locations) == 0 {
		c.Locations = []Location{Header{}}
	}
	c.Locations = slices.Clone(c.Locations)
	for i, l := range c.Locations {
		if isNil(l) {
			fault("Locations[%d]: nil", i)
			continue
		}
		switch p := l.(type) { // what the guard looks for by its type
		case *Ticket:
			l = *p
		case *FirstMessage:
			l = *p
		}
		c.Locations[i] = l
		for j, other := range c.Locations[:i] {
			if reflect.DeepEqual(l, other) {
				fault("Locations[%d]: the same as Locations[%d]; every credential would be found twice", i, j)
			}
		}
		if v, ok := l.(interface{ validate() error }); ok {
			if err := v.validate(); err != nil {
				fault("Locations[%d]: %w", i, err)
			}
		}
	}
	faults = append(faults, c.checkAppParameters()...)
	faults = append(faults, c.checkAnyOrigin()...)
	faults = append(faults, c.checkStores()...)
	if _, err := c.proxies(); err != nil {
		faults = append(faults, err)
	}
	limits, err := c.Limits.withDefaults()
	if err != nil {
		faults = append(faults, err)
	}
	c.Limits = limits
	if c.Staleness == 0 {
		c.Staleness = 10 * time.Second
	}
	if c.Staleness < minStaleness {
		fault("Staleness: %v is less than %v; the store is asked once a second", c.Staleness, minStaleness)
	}
	for i, o := range c.Origins {
		if err := CheckOrigin(o); err != nil {
			fault("Origins[%d]: %w", i, err)
		}
	}
	if c.Refusal != RefuseHTTP && c.Refusal != RefuseClose {
		fault("Refusal: %d is neither RefuseHTTP nor RefuseClose", c.Refusal)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}

const minStaleness = 3 * time.Second

// checkStores reports the stores that are nil pointers, and locations without
// what they need.
func (c Config) checkStores() []error {
	var faults []error
	if c.Revocations != nil && isNil(c.Revocations) {
		faults = append(faults, errors.New("wsauth: Config.Revocations: a nil pointer"))
	}
	first := 0
	for i, l := range c.Locations {
		switch l.(type) {
		case Ticket:
			if c.Tickets == nil || isNil(c.Tickets) {
				faults = append(faults, fmt.Errorf("wsauth: Config.Tickets: required by Locations[%d]; store.NewMemory makes one", i))
			}
		case FirstMessage:
			if first++; first > 1 {
				faults = append(faults, fmt.Errorf("wsauth: Config.Locations[%d]: a second FirstMessage", i))
			}
		}
	}
	return faults
}

// firstMessage is the location of that type; nil where there is none.
func (c Config) firstMessage() *FirstMessage {
	for _, l := range c.Locations {
		if first, ok := l.(FirstMessage); ok {
			return &first
		}
	}
	return nil
}

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	return v == nil || reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil()
}

// CheckOrigin reports what is wrong with an entry of [Config.Origins]: what a
// browser would never send as an Origin header.
func CheckOrigin(o string) error {
	if strings.Contains(o, "*") {
		return fmt.Errorf("%q: patterns are not supported; name each origin", o)
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return fmt.Errorf("%q is not an origin such as https://app.example", o)
	}
	if strings.ContainsFunc(o, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("%q: browsers write the host in ASCII, as xn--…", o)
	}
	if exact := u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"); exact != o || o != strings.ToLower(o) {
		return fmt.Errorf("%q is not exact: write it as browsers do, %q", o, strings.ToLower(exact))
	}
	if u.Scheme == "ws" || u.Scheme == "wss" {
		return fmt.Errorf("%q: the origin of a page is http or https, also where it opens sockets", o)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return fmt.Errorf("%q: the port is not from 1 to 65535", o)
	}
	if strings.HasPrefix(u.Port(), "0") {
		return fmt.Errorf("%q: browsers write a port without zeros in front", o)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.Is6() && u.Hostname() != writeIPv6(addr) {
		return fmt.Errorf("%q: browsers write the address as [%s]", o, writeIPv6(addr))
	}
	if port := u.Port(); port != "" && port == defaultPort(u.Scheme) {
		return fmt.Errorf("%q: browsers leave out port %s of %s", o, port, u.Scheme)
	}
	return nil
}

// writeIPv6 writes an address as browsers do: in groups of hexadecimal digits
// only (URL standard, section 3.5).
func writeIPv6(addr netip.Addr) string {
	if !addr.Is4In6() {
		return addr.String()
	}
	b := addr.As16()
	return fmt.Sprintf("::ffff:%x:%x", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15]))
}
