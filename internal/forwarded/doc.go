// Package forwarded determines which client sent a request that a proxy has
// forwarded: its address, and the scheme and host that it used. The package
// trusts only the configured peers, and only one source: X-Forwarded-For and
// related fields, the Forwarded field of RFC 7239, or the PROXY protocol.
//
// The result is used for logs, limits, sessions, origins and upstreams. It
// does not grant anything: access rules check the peer of the TCP connection.
package forwarded
