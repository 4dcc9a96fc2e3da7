package main

import (
	"context"
	"errors"

	"wsauth"
)

// closeUnsupported is the close code for a kind of message that is not
// accepted (RFC 6455 section 7.4.1).
const closeUnsupported = 1003

// errBinary is the error for a first message that is not text.
var errBinary = errors.New("the first message is not text")

// authenticate passes a message to the guard. It returns the reply to send to
// the client, or nil if the message is for the application. If it returns an
// error, the socket has been closed with a code that says why.
func authenticate(ctx context.Context, socket *wsauth.Socket, text bool, message []byte) (reply []byte, err error) {
	if !text {
		if socket.Claims() != nil {
			return nil, nil
		}
		socket.EndWith(&wsauth.EndError{Code: closeUnsupported, Reason: "text_only", Err: errBinary})
		return nil, errBinary
	}
	return socket.Authenticate(ctx, message)
}
