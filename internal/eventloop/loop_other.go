//go:build !linux

package eventloop

import "net"

// A Loop exists on Linux only.
type Loop struct{}

// A Conn exists on Linux only.
type Conn struct{ net.Conn }

// Hold does nothing: there is no Conn.
func (*Conn) Hold(Lease) {}

// Unread does nothing: there is no Conn.
func (*Conn) Unread([]byte) {}

// Shutdown does nothing: there is no Conn.
func (*Conn) Shutdown() {}

func (*Group) start(int) error { return nil }

// Close does nothing: there are no loops.
func (*Group) Close() {}

// Accept reports false: there are no loops.
func (*Group) Accept(net.Listener, Acceptor) (stop func(), ok bool) { return nil, false }

// Await reports false: there are no loops.
func (*Group) Await(conn, near net.Conn, _ Wait) bool { return false }

// DropUnread does nothing: on this system, package wsconn cannot determine how
// many bytes are unsent.
func DropUnread(net.Conn, int) {}
