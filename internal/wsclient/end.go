package wsclient

import (
	"strconv"
	"strings"

	"wsauth"
	"wsauth/internal/inspect"
)

// Close codes that this package handles itself.
const (
	codeNormal        = 1000
	codeNone          = 1005 // a close frame without a code
	codeBroken        = 1006 // no close frame received
	codeTooLong       = 1009
	codeTryAgainLater = 1013
)

// A Side is the party that closed a socket.
type Side string

// The sides.
const (
	ByServer  Side = "server"
	ByClient  Side = "client"
	ByNetwork Side = "network" // the connection broke
)

// An End describes how a socket was closed.
type End struct {
	By     Side
	Code   int
	Reason string // reason in the close frame
	// Why the connection broke or the client closed it. May be nil.
	Err error
}

// Normal reports whether the socket was closed without a problem.
func (e *End) Normal() bool {
	return e.Code == codeNormal || e.By == ByServer && e.Code == codeNone
}

// Error describes the end for a person, in a few lines.
func (e *End) Error() string {
	var b strings.Builder
	switch e.By {
	case ByNetwork:
		b.WriteString("the connection broke, without a close frame: " + strconv.Itoa(e.Code))
	case ByClient:
		b.WriteString("closed by this client: " + strconv.Itoa(e.Code))
	default:
		b.WriteString("closed by the server: " + strconv.Itoa(e.Code))
	}
	if e.Reason != "" {
		b.WriteString(" " + inspect.Printable(e.Reason))
	}
	if e.Normal() {
		return b.String()
	}
	means, advice := e.explain()
	explanation(&b, means, advice)
	return b.String()
}

// Unwrap returns Err.
func (e *End) Unwrap() error { return e.Err }

func (e *End) explain() (means string, advice wsauth.Advice) {
	means, advice = explain(e.Code, e.Reason)
	if e.Err != nil {
		means = inspect.Printable(e.Err.Error())
	}
	return means, advice
}
