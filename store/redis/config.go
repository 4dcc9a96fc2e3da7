package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"wsauth/store"
)

// Defaults of [Config].
const (
	DefaultPrefix         = "wsauth"
	DefaultTimeout        = time.Second
	DefaultReplicaTimeout = 500 * time.Millisecond
)

// A Config describes how to connect to the engine. [ParseURL] returns one for a
// URL.
type Config struct {
	// Addresses are host:port of the server, of some nodes of the Cluster, or
	// of the Sentinels. Required. Several addresses require Cluster or Master.
	Addresses []string

	Cluster bool   // the servers are a Redis Cluster
	Master  string // name of the primary that the Sentinels monitor

	Username string // ACL user; empty for the default one
	Password string
	Database int // 0 for a Cluster

	SentinelUsername string
	SentinelPassword string

	// TLS is used for all connections, including those to Sentinels. Default:
	// no TLS.
	TLS *tls.Config

	// Prefix begins the name of every key. It may contain letters, digits, and
	// any of "-_.:". Default: [DefaultPrefix].
	Prefix string

	// Limits are the maximum numbers of items. Those of sessions and tickets
	// are approximate if several nodes use the store: a node learns within a
	// second what the others have added.
	Limits store.Limits

	// Timeout is how long a call may take. Default: [DefaultTimeout].
	Timeout time.Duration

	// Replicas is the number of replicas that must confirm an entry of the log.
	// A negative number means none. 0 means one if the log has ever had a
	// replica, and none otherwise. So a primary that has lost its replicas does
	// not confirm entries alone. To continue without replicas permanently, set
	// -1. With three or more replicas, set half of them, rounded up. Then only
	// one side of a divided network can confirm.
	Replicas int

	// ReplicaTimeout is how long to wait for their confirmation. It must be
	// shorter than Timeout. Default: [DefaultReplicaTimeout].
	ReplicaTimeout time.Duration

	// Logger receives warnings. Default: none.
	Logger *slog.Logger
}

// newTLS returns the TLS configuration for rediss URLs.
func newTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }

// check returns an error if c is not valid.
func (c Config) check() error {
	c = c.defaults()
	switch {
	case len(c.Addresses) == 0:
		return errors.New("store/redis: no address")
	case c.Cluster && c.Master != "":
		return errors.New("store/redis: a Cluster has no Sentinels")
	case c.Cluster && c.Database != 0:
		return errors.New("store/redis: a Cluster has only the database 0")
	case len(c.Addresses) > 1 && !c.Cluster && c.Master == "":
		return errors.New("store/redis: several addresses, and neither Cluster nor Sentinel")
	case c.Database < 0:
		return errors.New("store/redis: negative database")
	case c.Username != "" && c.Password == "":
		return errors.New("store/redis: a user without a password")
	case len(c.Prefix) > 64 || strings.ContainsFunc(c.Prefix, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_.:", r)
	}):
		return errors.New("store/redis: the prefix is longer than 64 bytes, or contains characters other than -_.: and letters and digits")
	case c.Timeout < 10*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("store/redis: the timeout %v is not between 10 ms and 1 minute", c.Timeout)
	case c.ReplicaTimeout < time.Millisecond || c.ReplicaTimeout >= c.Timeout:
		return fmt.Errorf("store/redis: the replicas' timeout %v is not between 1 ms and the timeout %v", c.ReplicaTimeout, c.Timeout)
	}
	return nil
}

// defaults returns c with defaults in place of zero values.
func (c Config) defaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.ReplicaTimeout == 0 {
		c.ReplicaTimeout = min(DefaultReplicaTimeout, c.Timeout/2)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// options returns the options of the client. After a network error, the client
// repeats a command only if its script allows that; see script.repeat.
func (c Config) options() rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress:         c.Addresses,
		Username:            c.Username,
		Password:            c.Password,
		SelectDB:            c.Database,
		TLSConfig:           c.TLS,
		ClientName:          "wsauth",
		DisableCache:        true,
		ForceSingleClient:   !c.Cluster && c.Master == "",
		ConnWriteTimeout:    c.Timeout,
		BlockingPoolSize:    64,
		BlockingPoolCleanup: time.Minute,
		ReadBufferEachConn:  1 << 16,
		WriteBufferEachConn: 1 << 16,
		RetryDelay: func(attempts int, _ rueidis.Completed, _ error) time.Duration {
			return min(time.Duration(attempts)*5*time.Millisecond, 50*time.Millisecond)
		},
		Sentinel: rueidis.SentinelOption{
			MasterSet:               c.Master,
			Username:                c.SentinelUsername,
			Password:                c.SentinelPassword,
			TLSConfig:               c.TLS,
			ClientName:              "wsauth",
			TopologyRefreshInterval: time.Second,
		},
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: 10 * time.Second},
	}
	o.Dialer.Timeout, o.Sentinel.Dialer.Timeout = c.Timeout, c.Timeout
	if c.Master == "" {
		o.Sentinel = rueidis.SentinelOption{}
	}
	return o
}
