package remotekeys

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

// Config says where the keys are. Issuer or URL is required.
type Config struct {
	// Issuer is the URL of the provider, exactly as its tokens have it. Its
	// keys are where its discovery document says, which is at this URL with
	// "/.well-known/openid-configuration" (OpenID Connect Discovery 1.0 §4).
	Issuer string

	// URL is where the JWK Set is (RFC 7517 §5), for a provider without
	// discovery.
	URL string

	// Algorithms are those of RSA keys that the provider publishes without
	// "alg"; others than RSA's do not matter. Default: RS256.
	Algorithms []token.Algorithm

	// InsecureHTTP accepts an Issuer or URL that begins with http on another
	// machine than this one, and then http for that host and port alone.
	// Whoever is on the way can replace the keys, and so let anybody in.
	InsecureHTTP bool

	// Proxy is the URL of an HTTP proxy, such as
	// "http://proxy.internal:3128", through which the keys are fetched. Only
	// the configured host is asked through it, since nobody can tell where a
	// proxy is led: where a provider keeps its keys at another host, name
	// URL. Default: none, whatever the environment says.
	Proxy string

	// Transport sends the requests. With another one than the default, the
	// addresses that names resolve to are not checked, but those that stand
	// in URLs. Default: direct, without a proxy, over HTTP/1.1 or 2.
	Transport http.RoundTripper

	// Timeout is for one fetch with all that belongs to it. Default 5 s.
	Timeout time.Duration

	// Refresh is the time from one fetch to the next; a shorter max-age of
	// the answer counts, but not below a minute. A tenth of it is random.
	// Default 15 minutes.
	Refresh time.Duration

	// MinInterval is the time between two fetches that tokens cause whose
	// key is not known. Default 10 s.
	MinInterval time.Duration

	// MaxStale is how long keys are used that could not be fetched again.
	// Default 0: for as long as the provider is down.
	MaxStale time.Duration

	// Logger is told of fetches that fail, and of keys that cannot be used.
	// Default: no log.
	Logger *slog.Logger
}

const (
	defaultTimeout     = 5 * time.Second
	defaultRefresh     = 15 * time.Minute
	defaultMinInterval = 10 * time.Second
	minRefresh         = time.Minute
)

// withDefaults checks c and fills what is unset.
func (c Config) withDefaults() (Config, reach, error) {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Refresh = cmp.Or(c.Refresh, defaultRefresh)
	c.MinInterval = cmp.Or(c.MinInterval, defaultMinInterval)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("remotekeys: Config."+format, args...))
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
