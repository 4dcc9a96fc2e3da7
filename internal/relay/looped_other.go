//go:build !linux

package relay

// carry reports false: there are no event loops.
func (*Relay) carry(*Tunnel, Pair) bool { return false }
