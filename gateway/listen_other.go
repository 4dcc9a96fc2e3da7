//go:build !linux

package gateway

import "net"

// listenConfig sets the options on each connection; the time for data that is never acknowledged is the system's.
func listenConfig() net.ListenConfig { return net.ListenConfig{KeepAliveConfig: probes} }
