package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ParseURL returns the Config that a URL describes. The forms are
//
//	redis://[user[:password]@]host[:port][/database]
//	redis+sentinel://[user[:password]@]host[:port],.../name[/database]
//	redis+cluster://[user[:password]@]host[:port],...
//
// and the same with rediss, which uses TLS. The default port is 6379, and 26379
// for Sentinels. The name is that of the primary that the Sentinels monitor.
// User and password may be percent-encoded. The parameters prefix, timeout,
// replicas and replica_timeout set the fields of Config with these names, and
// sentinel_user and sentinel_password set the credentials for the Sentinels.
// Errors never contain a password.
func ParseURL(text string) (Config, error) {
	var c Config
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Config{}, errors.New("store/redis: the URL has no scheme, such as redis://")
	}
	base, kind, _ := strings.Cut(scheme, "+")
	switch base {
	case "redis":
	case "rediss":
		c.TLS = newTLS()
	default:
		return Config{}, errors.New("store/redis: the scheme of the URL is neither redis nor rediss")
	}
	c.Cluster = kind == "cluster"
	if kind != "" && kind != "cluster" && kind != "sentinel" || strings.HasSuffix(scheme, "+") {
		return Config{}, errors.New("store/redis: the scheme of the URL ends with neither +sentinel nor +cluster")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		if err := c.parseUser(hosts[:at]); err != nil {
			return Config{}, err
		}
		hosts = hosts[at+1:]
	}
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := parseAddress(host, port)
		if err != nil {
			return Config{}, err
		}
		c.Addresses = append(c.Addresses, address)
	}
	if err := c.parsePath(kind, path); err != nil {
		return Config{}, err
	}
	if err := c.parseQuery(query); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

// parseUser parses the user and the password, which precede the @ of a URL.
func (c *Config) parseUser(text string) (err error) {
	user, password, _ := strings.Cut(text, ":")
	if c.Username, err = url.PathUnescape(user); err == nil {
		c.Password, err = url.PathUnescape(password)
	}
	if err != nil { // err contains the password
		return errors.New("store/redis: the user or the password of the URL is not percent-encoded correctly")
	}
	return nil
}

// parseAddress parses a host with an optional port. port is the default.
func parseAddress(text, port string) (string, error) {
	host := text
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", errors.New("store/redis: an address of the URL is not host:port; an IPv6 address needs brackets")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return "", errors.New("store/redis: a port of the URL is not a number from 1 to 65535")
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`@/?#[]%\`, r) || r >= 127 }) {
		return "", errors.New("store/redis: a host of the URL is missing or contains an invalid character")
	}
	return net.JoinHostPort(host, port), nil
}

// parsePath parses the path after the addresses, without its first slash.
func (c *Config) parsePath(kind, path string) error {
	if kind == "sentinel" {
		c.Master, path, _ = strings.Cut(path, "/")
		if c.Master == "" {
			return errors.New("store/redis: a URL of Sentinel needs the name of the primary: redis+sentinel://host/name")
		}
	}
	if path == "" {
		return nil
	}
	database, err := strconv.ParseUint(path, 10, 16)
	if err != nil || strconv.FormatUint(database, 10) != path {
		return errors.New("store/redis: the database of the URL is not a number")
	}
	c.Database = int(database)
	return nil
}

// parseQuery parses the parameters of a URL.
func (c *Config) parseQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil || strings.Contains(text, "#") {
		return errors.New("store/redis: the parameters of the URL are not valid")
	}
	for name, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("store/redis: the URL has several parameters %.40q", name)
		}
		value, valid := values[0], true
		switch name {
		case "prefix":
			c.Prefix = value
			valid = value != ""
		case "timeout":
			c.Timeout, valid = parseDuration(value)
		case "replica_timeout":
			c.ReplicaTimeout, valid = parseDuration(value)
		case "replicas":
			c.Replicas, err = strconv.Atoi(value)
			valid = err == nil
		case "sentinel_user":
			c.SentinelUsername = value
		case "sentinel_password":
			c.SentinelPassword = value
		default:
			return fmt.Errorf("store/redis: the URL has an unknown parameter %.40q", name)
		}
		if !valid {
			return fmt.Errorf("store/redis: the parameter %s of the URL is not valid", name)
		}
	}
	return nil
}

func parseDuration(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}
