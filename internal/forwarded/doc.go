// Package forwarded finds out where a request comes from that a proxy has
// passed on: the client's address, and the scheme and host that the client
// used. It believes the peers that were named as trusted, and one source of
// theirs: X-Forwarded-For and its kin, the Forwarded field of RFC 7239, or the
// PROXY protocol.
//
// What it finds is for logs, limits, sessions, origins and upstreams. It
// grants nothing: rules about who may do what look at the peer of the TCP
// connection.
package forwarded
