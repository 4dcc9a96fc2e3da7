//go:build !linux

package front

import (
	"net"
	"syscall"
)

// listenConfig returns a configuration that sets the options on each
// connection. How long sent data may remain unacknowledged is left to the
// system.
func listenConfig() net.ListenConfig { return net.ListenConfig{KeepAliveConfig: probes} }

// setOptions does nothing: connections do not inherit options on these systems
// and have the system's defaults.
func setOptions(syscall.RawConn) error { return nil }
