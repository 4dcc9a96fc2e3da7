// Package sharedstore opens the store that the nodes of a cluster share, given
// its URL.
package sharedstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"wsauth/store"
	"wsauth/store/postgres"
	"wsauth/store/redis"
)

// A Store is a store that nodes share.
type Store interface {
	store.Cluster
	Close() error
}

// schemes are the schemes of the URLs of stores.
var schemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "postgres", "postgresql"}

// Check returns an error if text is not the URL of a store. It does not
// connect, and the error does not contain the password.
func Check(text string) error {
	switch scheme, _, _ := strings.Cut(text, "://"); {
	case !slices.Contains(schemes, scheme) || !strings.Contains(text, "://"):
		return fmt.Errorf("must be a URL that begins with one of %s and ://", strings.Join(schemes, ", "))
	case isPostgres(text):
		_, err := postgresConfig(text)
		return err
	}
	_, err := redis.ParseURL(text)
	return err
}

func isPostgres(text string) bool { return strings.HasPrefix(text, "postgres") }

// Open connects to a store.
func Open(ctx context.Context, text string, limits store.Limits, log *slog.Logger) (Store, error) {
	if err := Check(text); err != nil {
		return nil, err
	}
	if isPostgres(text) {
		c, err := postgresConfig(text)
		if err != nil {
			return nil, err
		}
		c.Limits, c.Logger = limits, log
		return opened(postgres.Open(ctx, c))
	}
	c, err := redis.ParseURL(text)
	if err != nil {
		return nil, err
	}
	c.Limits, c.Logger = limits, log
	return opened(redis.Open(ctx, c))
}

// opened returns s as a Store. With an error, it returns a nil Store instead of
// one that contains a nil pointer.
func opened[S Store](s S, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// postgresConfig returns the configuration that a URL describes. The parameter
// schema names the schema of the tables. The parameter listen=off is for a
// PgBouncer in transaction mode, which does not deliver notifications. All
// other parameters are passed to the driver.
func postgresConfig(text string) (c postgres.Config, err error) {
	base, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return c, errors.New("the parameters of the URL are not valid")
	}
	if _, rest, _ := strings.Cut(base, "://"); rest == "" || strings.HasPrefix(rest, "/") {
		return c, errors.New("the URL has no host")
	}
	c.Schema = values.Get("schema")
	listen := values.Get("listen")
	if listen != "" && listen != "on" && listen != "off" {
		return c, errors.New("the parameter listen of the URL must be on or off")
	}
	values.Del("schema")
	values.Del("listen")
	c.URL = base
	if len(values) > 0 {
		c.URL += "?" + values.Encode()
	}
	if listen != "off" {
		c.ListenURL = c.URL
	}
	return c, nil
}

// HasPassword reports whether a URL contains a password.
func HasPassword(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	base, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(base, '@'); at >= 0 && strings.Contains(base[:at], ":") {
		return true
	}
	return strings.Contains(query, "password")
}

// Display returns a URL without its user, password and parameters, to be shown
// to people.
func Display(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	base, _, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(base, '@'); at >= 0 {
		base = base[at+1:]
	}
	return scheme + "://" + base
}
