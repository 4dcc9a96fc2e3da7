//go:build !linux

package relay

import (
	"net"
	"time"
)

// A loop exists on Linux only.
type loop struct{}

func startLoops(int, time.Time, func() bool) ([]*loop, error) { return nil, nil }

func stopLoops([]*loop) error { return nil }

func (r *Relay) carry(*Tunnel) bool { return false }

// dropUnread does nothing: no system call here tells how much is unsent.
func dropUnread(net.Conn) {}

// Accept needs loops.
func (*Relay) Accept(net.Listener, Accept) (stop func(), ok bool) { return nil, false }

// Await needs loops.
func (*Relay) Await(client, server net.Conn, _ Answer) bool { return false }
