package wsauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"unicode"

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

	// Origins are the origins whose pages may open sockets, each exactly a
	// scheme, a host and a port that is not the scheme's own, such as
	// "https://app.example" (RFC 6454 section 6.2). Default: the origin that
	// the request itself is sent to. Behind a proxy that ends TLS the default
	// refuses, because the guard sees http where the page has https: name the
	// origin here. Cookies that a browser sends from another site are refused
	// even so.
	Origins []string

	// InsecureAnyOrigin lets pages of every origin open sockets: any web site
	// can then use the cookies of its visitors.
	InsecureAnyOrigin bool

	// Revoked reports whether a token was revoked; it is asked for every valid
	// token. An error refuses the request with 503, since a store that does
	// not answer has not said "not revoked". Default: none is revoked.
	Revoked func(ctx context.Context, claims *token.Claims) (bool, error)

	// Authorize is the application's own rule, asked last. claims is nil where
	// an [Optional] requirement found no credential. An error refuses the
	// request with 403; an [*Error] refuses it as it says. Default: allow.
	Authorize func(r *http.Request, claims *token.Claims) error

	// Refusal is the way in which upgrades are refused. Default: RefuseHTTP.
	Refusal Refusal

	// Logger gets a line for each refusal and each end of a socket, never with
	// anything secret. Default: no log.
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
	for i, l := range c.Locations {
		if isNil(l) {
			fault("Locations[%d]: nil", i)
			continue
		}
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
	if c.InsecureAnyOrigin && len(c.Origins) > 0 {
		fault("InsecureAnyOrigin: contradicts Origins; set one of the two")
	}
	for i, o := range c.Origins {
		if err := validateOrigin(o); err != nil {
			fault("Origins[%d]: %w", i, err)
		}
	}
	if c.Refusal != RefuseHTTP && c.Refusal != RefuseClose {
		fault("Refusal: %d is neither RefuseHTTP nor RefuseClose", c.Refusal)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	return v == nil || reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil()
}

// validateOrigin refuses what a browser would never send as an Origin header.
func validateOrigin(o string) error {
	if strings.Contains(o, "*") {
		return fmt.Errorf("%q: patterns are not supported; name each origin, or set InsecureAnyOrigin", o)
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("%q is not an origin such as https://app.example", o)
	}
	if strings.ContainsFunc(o, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("%q: browsers write the host in ASCII, as xn--…", o)
	}
	if exact := u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"); exact != o || o != strings.ToLower(o) {
		return fmt.Errorf("%q is not exact: write it as browsers do, %q", o, strings.ToLower(exact))
	}
	if port := u.Port(); port != "" && port == defaultPort(u.Scheme) {
		return fmt.Errorf("%q: browsers leave out port %s of %s", o, port, u.Scheme)
	}
	return nil
}
