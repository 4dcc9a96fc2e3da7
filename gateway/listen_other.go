//go:build !linux

package gateway

import (
	"net"
	"syscall"
)

// listenConfig sets the options on each connection; the time for data that is never acknowledged is the system's.
func listenConfig() net.ListenConfig { return net.ListenConfig{KeepAliveConfig: probes} }

// setOptions sets nothing: connections inherit no options here, and have the system's.
func setOptions(syscall.RawConn) error { return nil }
