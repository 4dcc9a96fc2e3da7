package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"wsauth/store"
	"wsauth/store/storekit"
)

// Defaults of a [Config].
const (
	defaultSchema   = "wsauth"
	defaultTimeout  = time.Second
	defaultMaxConns = 10
)

const (
	minTimeout = 10 * time.Millisecond
	maxSchema  = 63 // of a name in PostgreSQL, in bytes

	// ownConns is the number of connections reserved for the tasks of the
	// store itself: watch, beat and release. Calls cannot use them up.
	ownConns = 3
)

// A Config configures a [Store].
type Config struct {
	// URL is a connection URL (postgres://…) or a DSN of keywords and
	// values. It may name several hosts; the primary is used. It may be
	// that of a PgBouncer in transaction mode. Required.
	URL string

	// ListenURL is like URL, but must connect to the server itself. If it
	// is set, changes of the log wake other nodes at once. Otherwise, or
	// while this connection fails, nodes ask for changes every 250 ms. It
	// may be the same as URL.
	ListenURL string

	// Schema is the schema of the tables. Stores with different schemas are
	// independent of each other. Default: wsauth.
	Schema string

	// SkipMigrations makes [Open] fail with [ErrSchema], instead of
	// creating or upgrading the tables.
	SkipMigrations bool

	// Limits are the maximum numbers of items.
	Limits store.Limits

	// Timeout is the timeout of each call. Default: 1 s.
	Timeout time.Duration

	// MaxConns is the maximum number of connections for calls. The store
	// uses up to three more for its own tasks, and that of ListenURL.
	// Default: 10.
	MaxConns int

	// Logger receives a message when the store fails, recovers, or has lost
	// data. Messages never contain a password. Default: no log.
	Logger *slog.Logger
}

// errURL replaces the errors of the driver for invalid URLs, because they may
// quote a password.
var errURL = errors.New("not a valid connection URL or DSN; it is not repeated here, because it may contain a password")

// withDefaults validates c and sets defaults.
func (c Config) withDefaults() (Config, error) {
	c.Schema = cmp.Or(c.Schema, defaultSchema)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.MaxConns = cmp.Or(c.MaxConns, defaultMaxConns)
	c.Limits = storekit.Defaults(c.Limits)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.URL == "":
		return c, errors.New("store/postgres: Config.URL is missing")
	case len(c.Schema) > maxSchema || strings.ContainsRune(c.Schema, 0):
		return c, fmt.Errorf("store/postgres: Config.Schema is %.100q, want at most %d bytes, none of them zero", c.Schema, maxSchema)
	case c.Timeout < minTimeout:
		return c, fmt.Errorf("store/postgres: Config.Timeout is %v, want at least %v", c.Timeout, minTimeout)
	case c.MaxConns < 1 || c.MaxConns > 1<<16:
		return c, fmt.Errorf("store/postgres: Config.MaxConns is %d, want 1 to %d", c.MaxConns, 1<<16)
	}
	return c, nil
}

// pool returns the configuration of the pool of connections.
func (c Config) pool() (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("store/postgres: Config.URL: %w", errURL)
	}
	pool.MaxConns = int32(c.MaxConns + ownConns)
	pool.MinConns, pool.MinIdleConns = 0, 0
	pool.PingTimeout = c.Timeout
	c.adapt(pool.ConnConfig)
	return pool, nil
}

// listener returns the configuration of the connection of ListenURL.
func (c Config) listener() (*pgx.ConnConfig, error) {
	conn, err := pgx.ParseConfig(c.ListenURL)
	if err != nil {
		return nil, fmt.Errorf("store/postgres: Config.ListenURL: %w", errURL)
	}
	c.adapt(conn)
	return conn, nil
}

// adapt sets the options that the package requires for a connection.
func (c Config) adapt(conn *pgx.ConnConfig) {
	// Use unnamed statements, because named ones belong to a session.
	conn.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn.StatementCacheCapacity, conn.DescriptionCacheCapacity = 0, 0
	conn.ConnectTimeout = c.Timeout
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	conn.OnNotice = noteUnconfirmed
}
