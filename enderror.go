package wsauth

import (
	"strings"

	"wsauth/internal/wsframe"
)

// An EndError says why a session ended. It is the [context.Cause] of the
// request's context, and the error of the handler's reads and writes, from
// then on.
type EndError struct {
	// Code is the close code that the client gets: 1000 to 1014 as far as RFC
	// 6455 section 7.4.1 lets an endpoint send it, or 3000 to 4999. Any other
	// becomes 1011.
	Code int

	// Reason is the reason that the client gets: a short, stable word. Bytes
	// after the 123rd are cut.
	Reason string

	// Err is the cause for the log; the client does not get it. May be nil.
	Err error
}

// End makes the end that r means: its close code, and r itself as the reason.
func (r Reason) End(err error) *EndError {
	return &EndError{Code: r.Outcome().Code, Reason: string(r), Err: err}
}

// Error is the text for the log.
func (e *EndError) Error() string {
	if e.Err == nil {
		return "wsauth: session ended: " + e.Reason
	}
	return "wsauth: session ended: " + e.Reason + ": " + e.Err.Error()
}

// Unwrap gives the cause and the reason to errors.Is and errors.As.
func (e *EndError) Unwrap() []error {
	if e.Err == nil {
		return []error{Reason(e.Reason)}
	}
	return []error{Reason(e.Reason), e.Err}
}

// frame is the close frame for the client.
func (e *EndError) frame() []byte {
	code := e.Code
	if !wsframe.SendableCode(code) {
		code = CloseInternalError
	}
	return wsframe.AppendClose(nil, code, strings.ToValidUTF8(e.Reason, ""))
}

// refusal is the end as the answer to a handshake: its own reason, or
// SessionEnded for one that is not the guard's.
func (e *EndError) refusal() *Error {
	reason := Reason(e.Reason)
	if _, ok := outcomes[reason]; !ok {
		reason = SessionEnded
	}
	return refuse(reason, e)
}
