package wsauth

import (
	"strings"

	"wsauth/internal/wsframe"
)

// An EndError says why a socket ended. After the end it is the [context.Cause]
// of the request's context, and the error of the handler's reads and writes.
type EndError struct {
	// Code is the close code that the client receives: 3000 to 4999, or one
	// from 1000 to 1014 that RFC 6455 section 7.4.1 allows an endpoint to send.
	// Any other is replaced by 1011. Default: the code of Reason.
	Code int

	// Reason is the reason that the client receives: a short, stable word. It
	// is cut after 123 bytes. One that is not a constant of this package needs
	// a Code.
	Reason Reason

	// Err is the cause for the log, which the client does not receive. May be
	// nil.
	Err error
}

// withCode returns e with a Code.
func (e *EndError) withCode() *EndError {
	if e.Code != 0 {
		return e
	}
	return &EndError{Code: e.Reason.Outcome().Code, Reason: e.Reason, Err: e.Err}
}

// Error returns the text for the log.
func (e *EndError) Error() string {
	if e.Err == nil {
		return "wsauth: socket ended: " + string(e.Reason)
	}
	return "wsauth: socket ended: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the reason and the cause, for errors.Is and errors.As.
func (e *EndError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// frame returns the close frame for the client.
func (e *EndError) frame() []byte {
	code := e.Code
	if !wsframe.SendableCode(code) {
		code = closeInternalError
	}
	return wsframe.AppendClose(nil, code, strings.ToValidUTF8(string(e.Reason), ""))
}

// refusal returns the end as a refusal of the handshake. Its reason is that of
// the end, or SessionEnded for a reason that is not one of the guard's.
func (e *EndError) refusal() *Error {
	reason := e.Reason
	if _, ok := outcomes[reason]; !ok {
		reason = SessionEnded
	}
	return refuse(reason, e)
}
