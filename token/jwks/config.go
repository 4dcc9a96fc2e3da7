package jwks

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"wsauth/token"
)

// Config configures [NewVerifier], which requires Issuer and Audience, and
// [New], which requires Issuer or URL.
type Config struct {
	// Issuer is the provider, exactly as in the iss of its tokens. Without a
	// URL, the keys are found through the discovery document at Issuer
	// followed by "/.well-known/openid-configuration" (OpenID Connect
	// Discovery 1.0 section 4).
	Issuer string

	// URL is the URL of the JWK Set (RFC 7517 section 5). Default: discovery.
	URL string

	// Audience lists the names of this server at the provider. The aud of a
	// token must contain one of them. [New] ignores it.
	Audience []string

	// MediaType is the typ header of access tokens. "JWT" also accepts tokens
	// without typ. Default: "at+jwt" (RFC 9068 section 4). [New] ignores it.
	MediaType string

	// Algorithms are the algorithms of RSA keys that the provider publishes
	// without "alg". Others are ignored. Default: RS256.
	Algorithms []token.Algorithm

	// InsecureHTTP accepts an Issuer or URL with http on another machine, and
	// allows http for that host and port only. An attacker on the network can
	// replace the keys and log in as anybody.
	InsecureHTTP bool

	// Proxy is the URL of an HTTP proxy for fetching the keys, such as
	// "http://proxy.internal:3128". Only the configured host is reached
	// through it, because the addresses that a proxy resolves cannot be
	// checked. If the provider publishes its keys on another host, set URL.
	// Default: none, whatever the environment says.
	Proxy string

	// Transport sends the requests. With a custom one, addresses in URLs are
	// checked, but not the addresses that names resolve to. Default: direct,
	// without a proxy, over HTTP/1.1 or 2.
	Transport http.RoundTripper

	// Timeout limits one fetch, including discovery. Default 5 s.
	Timeout time.Duration

	// Refresh is the time between fetches, shortened at random by up to a
	// tenth. A shorter max-age of the response takes precedence, but not below
	// a minute. Default 15 minutes.
	Refresh time.Duration

	// MinInterval is the minimum time between two fetches that are caused by
	// tokens with unknown keys. Default 10 s.
	MinInterval time.Duration

	// MaxStale is how long keys are used after the last successful fetch.
	// Default 0: no limit, however long the provider is down.
	MaxStale time.Duration

	// Logger logs failed fetches and unusable keys. Default: no log.
	Logger *slog.Logger
}

const (
	defaultTimeout     = 5 * time.Second
	defaultRefresh     = 15 * time.Minute
	defaultMinInterval = 10 * time.Second
	minRefresh         = time.Minute
)

// withDefaults validates c and sets defaults.
func (c Config) withDefaults() (Config, reach, error) {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Refresh = cmp.Or(c.Refresh, defaultRefresh)
	c.MinInterval = cmp.Or(c.MinInterval, defaultMinInterval)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("jwks: Config."+format, args...))
	}
	if c.Timeout < 0 || c.Refresh < minRefresh || c.MinInterval < 0 || c.MaxStale < 0 {
		fault("Timeout, MinInterval, MaxStale: must not be negative, and Refresh at least %s", minRefresh)
	}
	name, address := "URL", c.URL
	if c.URL == "" {
		name, address = "Issuer", c.Issuer
	}
	if address == "" {
		fault("Issuer: required, or URL")
	}
	u, err := url.Parse(address)
	if err == nil {
		err = checkURL(u, c.InsecureHTTP)
	}
	if address != "" && err != nil {
		fault("%s: %.200q: %w", name, address, err)
	}
	of := reach{insecureHTTP: c.InsecureHTTP}
	if of.proxy, err = readProxy(c.Proxy); err != nil {
		fault("Proxy: %w", err)
	} else if of.proxy != nil && c.Transport != nil {
		fault("Proxy: Transport has its own")
	}
	if err := errors.Join(faults...); err != nil {
		return c, reach{}, err
	}
	of.trusted = hostPort(u)
	return c, of, nil
}
