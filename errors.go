package wsauth

import (
	"errors"
	"net/http"
)

// A Reason says why a request was refused or a socket was ended. It is a
// stable word: the reason of the close frame and the "reason" member of the
// problem document. It is also an error, so that callers can test for it:
//
//	if errors.Is(err, wsauth.TokenExpired) { … }
type Reason string

// The reasons. [Reason.Outcome] returns what each of them means on the wire,
// and docs/errors.md explains them.
const (
	TokenMissing Reason = "token_missing"
	TokenInvalid Reason = "token_invalid"
	TokenExpired Reason = "token_expired"
	TokenRevoked Reason = "token_revoked"
	SessionEnded Reason = "session_ended"

	OriginNotAllowed   Reason = "origin_not_allowed"
	CSRFMismatch       Reason = "csrf_mismatch"
	WrongTokenType     Reason = "wrong_token_type"
	FreshTokenRequired Reason = "fresh_token_required"
	NotAuthorized      Reason = "not_authorized"
	ConnectionLimit    Reason = "connection_limit"
	MessageTooBig      Reason = "message_too_big"
	SocketsNotAllowed  Reason = "sockets_not_allowed" // gateway only

	AuthTimeout Reason = "auth_timeout"
	IdleTimeout Reason = "idle_timeout" // gateway only

	InvalidRequest      Reason = "invalid_request"
	InvalidHandshake    Reason = "invalid_handshake"
	MethodNotAllowed    Reason = "method_not_allowed"
	VersionNotSupported Reason = "version_not_supported"

	RateLimited      Reason = "rate_limited"
	StoreUnavailable Reason = "store_unavailable"
	Restarting       Reason = "restarting"
	InternalError    Reason = "internal_error"

	Overloaded     Reason = "overloaded"      // gateway only
	BadGateway     Reason = "bad_gateway"     // gateway only
	GatewayTimeout Reason = "gateway_timeout" // gateway only
)

// Error returns r as a string.
func (r Reason) Error() string { return string(r) }

// Close codes of the IANA registry that a guard sends, in addition to those of
// RFC 6455.
const (
	CloseUnauthorized = 3000
	CloseForbidden    = 3003
	CloseTimeout      = 3008
)

// Close codes of RFC 6455 section 7.4.1 and of the IANA registry from 1012.
const (
	closeNormal         = 1000
	closeMessageTooBig  = 1009
	closeInternalError  = 1011
	closeServiceRestart = 1012
	closeTryAgainLater  = 1013
	closeBadGateway     = 1014
)

// An Advice tells a client what to do after a refusal or an end.
type Advice string

// The values of Advice.
const (
	// AdviceRenew means that a new token is needed.
	AdviceRenew Advice = "refresh or log in, then reconnect"
	// AdviceStop means that the same request would be refused again.
	AdviceStop Advice = "do not reconnect automatically"
	// AdviceReconnect means that the credential was not the problem.
	AdviceReconnect Advice = "reconnect"
	// AdviceWait means that the server cannot serve the client now.
	AdviceWait Advice = "reconnect after a random wait"
)

// An Outcome describes what a [Reason] means on the wire.
type Outcome struct {
	Status int    // HTTP status of a refused request
	Code   int    // close code of a refused or ended socket
	Text   string // the default text for the client; an [Error] may have a more specific one
	Advice Advice // what the client should do next
}

// outcomes defines what each reason means on the wire.
var outcomes = map[Reason]Outcome{
	TokenMissing: {http.StatusUnauthorized, CloseUnauthorized, "Missing access token", AdviceRenew},
	TokenInvalid: {http.StatusUnauthorized, CloseUnauthorized, "The token is not valid", AdviceRenew},
	TokenExpired: {http.StatusUnauthorized, CloseUnauthorized, "Signature has expired", AdviceRenew},
	TokenRevoked: {http.StatusUnauthorized, CloseUnauthorized, "Token has been revoked", AdviceRenew},
	SessionEnded: {http.StatusUnauthorized, CloseUnauthorized, "The session has ended", AdviceRenew},

	OriginNotAllowed:   {http.StatusForbidden, CloseForbidden, "Origin not allowed", AdviceStop},
	CSRFMismatch:       {http.StatusForbidden, CloseForbidden, "CSRF double submit tokens do not match", AdviceStop},
	WrongTokenType:     {http.StatusForbidden, CloseForbidden, "Only access tokens are allowed", AdviceStop},
	FreshTokenRequired: {http.StatusForbidden, CloseForbidden, "Fresh token required", AdviceStop},
	NotAuthorized:      {http.StatusForbidden, CloseForbidden, "Not authorized", AdviceStop},
	ConnectionLimit:    {http.StatusForbidden, CloseForbidden, "A newer connection took the place of this one", AdviceStop},
	MessageTooBig:      {http.StatusRequestEntityTooLarge, closeMessageTooBig, "The message is too big", AdviceStop},
	SocketsNotAllowed:  {http.StatusForbidden, CloseForbidden, "WebSockets are not allowed at this address", AdviceStop},

	AuthTimeout: {http.StatusRequestTimeout, CloseTimeout, "No credential came in time", AdviceReconnect},
	IdleTimeout: {http.StatusRequestTimeout, CloseTimeout, "Nothing was sent for too long", AdviceReconnect},

	InvalidRequest:      {http.StatusBadRequest, CloseForbidden, "The request is not valid", AdviceStop},
	InvalidHandshake:    {http.StatusBadRequest, CloseForbidden, "The WebSocket handshake is not valid", AdviceStop},
	MethodNotAllowed:    {http.StatusMethodNotAllowed, CloseForbidden, "Method Not Allowed", AdviceStop},
	VersionNotSupported: {http.StatusUpgradeRequired, CloseForbidden, "Only WebSocket version 13 is supported", AdviceStop},

	RateLimited:      {http.StatusTooManyRequests, closeTryAgainLater, "Too many requests", AdviceWait},
	StoreUnavailable: {http.StatusServiceUnavailable, closeTryAgainLater, "The service is not available", AdviceWait},
	Restarting:       {http.StatusServiceUnavailable, closeServiceRestart, "The service is restarting", AdviceWait},
	InternalError:    {http.StatusInternalServerError, closeInternalError, "Internal Server Error", AdviceWait},

	Overloaded:     {http.StatusServiceUnavailable, closeTryAgainLater, "The server has too many connections", AdviceWait},
	BadGateway:     {http.StatusBadGateway, closeBadGateway, "The server behind this address cannot be reached, or its answer is not valid", AdviceWait},
	GatewayTimeout: {http.StatusGatewayTimeout, closeBadGateway, "The server behind this address did not answer in time", AdviceWait},
}

// Reasons returns all reasons, in no particular order.
func Reasons() []Reason {
	all := make([]Reason, 0, len(outcomes))
	for r := range outcomes {
		all = append(all, r)
	}
	return all
}

// Outcome returns what r means on the wire. For a reason that is not one of
// the guard's, this is the outcome of InternalError.
func (r Reason) Outcome() Outcome {
	if o, ok := outcomes[r]; ok {
		return o
	}
	return outcomes[InternalError]
}

// An Error represents a refusal. It has two texts: Message is fixed and for
// the client; Err is the full cause, for the log.
type Error struct {
	Reason  Reason
	Message string // contains nothing from the request
	Err     error  // may be nil
}

// refuse returns an Error with the default text of its reason.
func refuse(reason Reason, err error) *Error {
	return &Error{Reason: reason, Message: reason.Outcome().Text, Err: err}
}

// refuseWith returns an Error with a more specific text.
func refuseWith(reason Reason, message string) *Error {
	return &Error{Reason: reason, Message: message}
}

// Error returns the text for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason) + ": " + e.Message
	}
	return string(e.Reason) + ": " + e.Message + ": " + e.Err.Error()
}

// Unwrap returns the reason and the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// reasonOf returns the reason of a refusal, or "" if err is not one.
func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}
