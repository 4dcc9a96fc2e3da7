// Package upstream connects a gateway to the servers behind it: it selects one
// of several, dials it, sends plain requests to it and opens WebSockets to it.
//
// A server that cannot be reached is avoided for a while, and the request goes
// to the next one. This is safe, because no part of the request was sent.
// Responses are limited in size and time. A response to a handshake must
// satisfy RFC 6455, so that a client is never told that a socket is open when
// it is not.
package upstream

import "errors"

// Errors of upstream servers. The response to the client depends only on
// these.
var (
	// ErrUnreachable means that no server could be reached.
	ErrUnreachable = errors.New("no upstream can be reached")
	// ErrTimeout means that the server did not answer in time.
	ErrTimeout = errors.New("the upstream did not answer in time")
	// ErrTooManyOpen means that this process cannot open another connection.
	// The server is not at fault, and nothing was sent.
	ErrTooManyOpen = errors.New("too many open connections")
	// ErrAnswer means that the server's response is not valid.
	ErrAnswer = errors.New("the upstream's answer is not valid")
	// ErrWait means that a server cannot be reached without blocking. It is
	// never reported to a client; see Pool.AskNow.
	ErrWait = errors.New("the upstream cannot be reached at once")
)
