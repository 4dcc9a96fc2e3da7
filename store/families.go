package store

import (
	"context"
	"errors"
	"time"
)

// ErrReused: a refresh token was used that another had replaced. It was stolen,
// from the one who used it now or from the one who used it first; nobody can
// tell which, so the family has ended.
var ErrReused = errors.New("store: the refresh token was used before")

// A Family is one login: a line of refresh tokens, each of which replaces the
// one before it (RFC 9700 section 4.14.2). Names are 1 to 256 bytes long.
type Family struct {
	ID       string    // the sid of its tokens
	Subject  string    // the sub
	Current  string    // the jti of the refresh token that is good
	Previous string    // the jti that Current replaced; empty in a family that has not rotated yet
	Began    time.Time // the login
	Rotated  time.Time // when Current took its place; the login at first
	Expires  time.Time // when the refresh token Current expires, and the family with it
	Ends     time.Time // when the family ends at the latest, however often it rotates

	// Where the family was used last, for its user to recognise. Any text, at
	// most 256 bytes each.
	Remote string // an address
	Agent  string // a program
}

// A Rotation replaces the refresh token of a family.
type Rotation struct {
	ID      string        // of the family
	From    string        // the jti of the token that was presented
	To      string        // the jti of the one that replaces it
	Grace   time.Duration // how long after a rotation the token before it may be presented again
	Expires time.Time     // when To expires
	Remote  string        // where it was presented
	Agent   string
}

// Families keeps logins. It is safe for concurrent use. Methods return soon
// after ctx is done, with its error. Times count in whole milliseconds.
type Families interface {
	// BeginFamily adds a family. It is [ErrInvalid] when its ID is taken, or a
	// name or a time is missing or too long; [ErrFull] when the store holds
	// as many as it may. When it returns nil the family is as durable as the
	// store is; the same is true of every change below.
	BeginFamily(context.Context, Family) error

	// RotateFamily presents a refresh token, and returns the family as it is
	// afterwards. All of it is one step.
	//
	// Where From is Current, To takes its place. Where From is Previous and
	// Current took its place at most Grace ago, nothing changes but Remote
	// and Agent: the answer to the first time was lost, or two windows of one
	// browser asked at once, and both are to have the same Current. Any other
	// From is [ErrReused], and ends the family; the Family returned beside
	// the error is what it was. A family that is not there, has ended or
	// expired is [ErrNotFound].
	RotateFamily(context.Context, Rotation) (Family, error)

	// EndFamily forgets a family. It is no error when it is not there.
	EndFamily(ctx context.Context, id string) error

	// ListFamilies returns the families of a subject that have not expired,
	// the one that began first first; none is no error.
	ListFamilies(ctx context.Context, subject string) ([]Family, error)
}
