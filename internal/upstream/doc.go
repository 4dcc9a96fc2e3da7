// Package upstream reaches the servers behind a gateway: it chooses one of several, dials it, sends it plain requests and opens
// WebSockets to it.
//
// A server that cannot be reached is passed over for a while, and the request goes to the next one; that is safe as long as
// nothing of the request was sent. What a server answers is bounded in size and time, and held to RFC 6455 where it is the answer
// to a handshake: a client must not be told that a socket is open which is none.
package upstream

import "errors"

// The ways in which a server behind the gateway fails. What the client is told depends on them alone.
var (
	// ErrUnreachable says that no server could be reached.
	ErrUnreachable = errors.New("no upstream can be reached")
	// ErrTimeout says that the server did not answer in time.
	ErrTimeout = errors.New("the upstream did not answer in time")
	// ErrTooManyOpen says that this process may not open another connection.
	// No server is to blame, and nothing was sent.
	ErrTooManyOpen = errors.New("too many open connections")
	// ErrAnswer says that the server's answer is none that can be passed on.
	ErrAnswer = errors.New("the upstream's answer is not valid")
	// ErrWait says that a server can be reached, but not without waiting. No client is told so, see Pool.AskNow.
	ErrWait = errors.New("the upstream cannot be reached at once")
)
