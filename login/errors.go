package login

import (
	"errors"
	"time"

	"wsauth"
)

// Errors of requests for tokens. responder.fail writes their answers. Any other
// error is a failure of the store.
var (
	// errSessionOver means that a session ends in less than a second.
	errSessionOver = errors.New("login: the session is over")

	// errNoToken means that no token can be issued for a user.
	errNoToken = errors.New("login: no token")

	// errClockBehind means that every new token of the user would be revoked at
	// once: all sessions were ended until a time that the clock has not
	// reached.
	errClockBehind = errors.New("the clock is behind a revocation of all sessions of this user or of all users: was it set back?")

	// errTokenAhead means that the clock is behind the time at which this service
	// issued a token.
	errTokenAhead = errors.New("the clock is behind the time at which this server issued the refresh token: was it set back?")

	// errEndedMeanwhile means that the sessions of a user were ended while another
	// was being started.
	errEndedMeanwhile = errors.New("the sessions of this user were ended in the meantime")

	// errBadPassword means that a name or its password is wrong.
	errBadPassword = errors.New("login: bad username or password")
)

// A passwordError means that a password could not be checked.
type passwordError struct{ err error }

func (e *passwordError) Error() string {
	return "login: the password cannot be checked: " + e.err.Error()
}

// A rateError refuses a login that exceeds a rate limit.
type rateError struct {
	wait   time.Duration
	detail string
}

func (e *rateError) Error() string { return "login: " + e.detail }

// A refusal means that the service refuses a token that the guard has accepted.
// The guard writes the answer.
type refusal struct{ err error } // a *wsauth.Error

func (e *refusal) Error() string { return e.err.Error() }

// errSessionEnded returns the refusal of a credential whose session has ended.
func errSessionEnded(err error) *wsauth.Error {
	return &wsauth.Error{Reason: wsauth.SessionEnded, Message: "The session has ended; log in again", Err: err}
}

// errUnavailable returns the refusal of a credential whose validity is unknown
// because the store failed.
func errUnavailable(err error) *wsauth.Error {
	return &wsauth.Error{Reason: wsauth.StoreUnavailable, Message: wsauth.StoreUnavailable.Outcome().Text, Err: err}
}
