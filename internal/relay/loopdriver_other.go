//go:build !linux

package relay

// carry reports false: this system has no event loops.
func (*Relay) carry(*Tunnel, Pair) bool { return false }
