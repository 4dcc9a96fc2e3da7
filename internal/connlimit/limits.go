// Package connlimit bounds how many connections a server has open, in all and
// for one client, so that file descriptors are left for its store, its
// operators and everything else that opens files.
package connlimit

// Limits are those of a [Limiter].
type Limits struct {
	Descriptors int // how many the process may have open
	Connections int // of clients
	PerAddress  int // of one IPv4 address or IPv6 /64
	Upstreams   int // to upstreams, those of sockets included
	Excess      int // of clients that are let in only to be told that they are too many
}

// The descriptors that no connection gets.
const (
	leastReserve = 48
	mostReserve  = 1024
)

// Within returns the limits of a process that may have so many descriptors
// open. An eighth of them is reserved. Of the rest, clients get half, and
// upstreams what clients leave. connections and perAddress lower these limits;
// 0 is as many as there may be, and half of that for one address.
func Within(descriptors, connections, perAddress int) Limits {
	reserve := reserveOf(descriptors)
	rest := max(descriptors-reserve, 4)
	l := Limits{Descriptors: descriptors, Connections: rest / 2, Excess: reserve / 4}
	if connections > 0 {
		l.Connections = min(l.Connections, connections)
	}
	l.PerAddress = max(l.Connections/2, 1)
	if perAddress > 0 {
		l.PerAddress = min(l.Connections, perAddress)
	}
	l.Upstreams = rest - l.Connections
	return l
}

// ofSockets returns how many of n connections may be sockets. The others are
// kept for plain requests, such as logins.
func ofSockets(n int) int { return n - n/8 }

// ForOperators returns the limits of a listener for operators, whose
// connections are a part of what Within reserves.
func ForOperators(descriptors int) Limits {
	n := reserveOf(descriptors) / 8
	return Limits{Descriptors: descriptors, Connections: n, PerAddress: n, Excess: 2}
}

func reserveOf(descriptors int) int {
	return min(max(descriptors/8, leastReserve), mostReserve)
}
