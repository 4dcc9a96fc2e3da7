// Package connlimit limits the number of open connections of a server, in
// total and per client, so that file descriptors remain for its store, its
// operators and everything else that opens files.
package connlimit

// Limits are the limits of a [Limiter].
type Limits struct {
	Descriptors int // of the process
	Connections int // from clients
	PerAddress  int // from one IPv4 address or IPv6 /64
	Upstreams   int // to upstreams, including those of sockets
	// Excess is the number of clients that are accepted only to receive an
	// error response.
	Excess int
}

// Bounds of the number of descriptors that are reserved.
const (
	leastReserve = 48
	mostReserve  = 1024
)

// Within returns the limits for a process with the given number of descriptors.
// One eighth is reserved, but at least leastReserve and at most mostReserve.
// Clients get half of the rest, and upstreams the remainder. connections, if
// not 0, lowers the limit for clients. perAddress is the limit for one address;
// 0 means half of the limit for clients.
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
// reserved for plain requests, such as logins.
func ofSockets(n int) int { return n - n/8 }

// ForOperators returns the limits of a listener for operators. Its connections
// are part of what Within reserves.
func ForOperators(descriptors int) Limits {
	n := reserveOf(descriptors) / 8
	return Limits{Descriptors: descriptors, Connections: n, PerAddress: n, Excess: 2}
}

func reserveOf(descriptors int) int {
	return min(max(descriptors/8, leastReserve), mostReserve)
}
