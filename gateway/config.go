package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wsauth/token"
)

// Config says whom a [Gateway] lets in and for how long. Key and Authenticate are required.
type Config struct {
	// Key signs the tokens and verifies them.
	Key *token.Key

	// Authenticate checks names and passwords.
	Authenticate Authenticator

	// AccessTTL is the life of an access token, and so of a socket. Whole seconds, at least one. Default: 15 minutes.
	AccessTTL time.Duration

	// RefreshTTL is the life of a refresh token, and so of a session. Whole seconds, longer than AccessTTL, at most
	// [MaxTTL]. Default: 30 days.
	RefreshTTL time.Duration

	// Origins are the origins under which browsers see this server, such as "https://app.example" where a proxy in front ends
	// TLS, and any others whose pages may use it, each exactly as browsers send it; see [CheckOrigin]. They replace the default,
	// which is the origin that a request is sent to.
	Origins []string

	// Logger gets a line for each login, each refusal, and each begin and end of a socket, never with a token, a cookie, a query
	// or a password. Default: no log.
	Logger *slog.Logger
}

// An Authenticator reports whether password is that of the user called name. A wrong password and an unknown user are no errors,
// and must take the same time. An error means that the question could not be answered. Both strings are the client's: valid
// UTF-8, at most 256 and 1024 bytes long, and otherwise anything.
type Authenticator func(ctx context.Context, name, password string) (bool, error)

// MaxTTL is the longest life of a token: a verifier believes no longer one.
const MaxTTL = 366 * 24 * time.Hour

const (
	defaultAccessTTL  = 15 * time.Minute
	defaultRefreshTTL = 30 * 24 * time.Hour
)

// withDefaults checks c and fills what is unset. Every fault is reported, each with the name of its field.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("gateway: Config."+format, args...))
	}
	if c.Key == nil {
		fault("Key: required; token.GenerateKey makes one")
	} else if !c.Key.CanSign() {
		fault("Key: cannot sign; a private key or an HMAC secret is needed")
	}
	if c.Authenticate == nil {
		fault("Authenticate: required")
	}
	if c.AccessTTL == 0 {
		c.AccessTTL = defaultAccessTTL
	}
	if c.RefreshTTL == 0 {
		c.RefreshTTL = defaultRefreshTTL
	}
	if c.AccessTTL < time.Second || c.AccessTTL%time.Second != 0 {
		fault("AccessTTL: must be whole seconds, at least one")
	}
	if c.RefreshTTL <= c.AccessTTL || c.RefreshTTL > MaxTTL || c.RefreshTTL%time.Second != 0 {
		fault("RefreshTTL: must be whole seconds, longer than AccessTTL, and at most %s", MaxTTL)
	}
	for i, o := range c.Origins {
		if err := CheckOrigin(o); err != nil {
			fault("Origins[%d]: %w", i, err)
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(faults...)
}
