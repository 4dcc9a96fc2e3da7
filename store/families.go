package store

import (
	"context"
	"errors"
)

// ErrReused means that a refresh token was used which another had replaced. It
// was stolen, from the one who used it now or from the one who used it first;
// nobody can tell which, so the family has ended.
var ErrReused = errors.New("store: the refresh token was used before")

// Families keeps logins. It is safe for concurrent use. Methods return soon
// after ctx is done, with its error. Times count in whole milliseconds.
//
// After an error that is none of this package's, such as a context's in the
// midst of it, a change may have been made or not. To begin or end a family
// again then tells which; a rotation that is repeated within its grace finds
// the one that was made.
type Families interface {
	// BeginFamily adds a family. It is [ErrInvalid] when its ID is taken, a
	// name is missing or too long, or a time is missing (Rotated need not be
	// given) or after the year 9999; [ErrFull] when the store holds as many
	// as it may, or MaxFamilies of that subject. It is no error when the
	// family has expired already. When it returns nil the family is as
	// durable as the store is; the same is true of every change below.
	BeginFamily(context.Context, Family) error

	// RotateFamily presents a refresh token to exchange it, and returns the
	// family as it is afterwards. All of it is one step.
	//
	// Where From is Current, To takes its place and Key that of the key
	// before. Where From is Previous, nothing changes but Remote and Agent if
	// Current took its place at most Grace ago, or at most Retry ago by a
	// rotation with the same Key and has not been presented since: the answer
	// to the first time was lost, or two windows of one browser asked at
	// once, and both are to have the same Current. Any other From is
	// [ErrReused], and ends the family; the Family returned beside the error
	// is what it was. A family that is not there, has ended or expired is
	// [ErrNotFound]. A rotation that no family could make, as one without a
	// name, is [ErrInvalid], and changes nothing.
	RotateFamily(context.Context, Rotation) (Family, error)

	// PresentFamily presents a refresh token without exchanging it, and
	// returns the family as it is afterwards. All of it is one step.
	//
	// Current is accepted, and Key is forgotten: Current has arrived, so
	// nobody may ask for it again by its key. Previous is accepted where
	// Current took its place at most Grace ago, and changes nothing. Any other
	// token is [ErrReused], and ends the family; the Family returned beside
	// the error is what it was. A family that is not there, has ended or
	// expired is [ErrNotFound].
	PresentFamily(context.Context, Presentation) (Family, error)

	// EndFamily forgets a family. It is no error when it is not there.
	EndFamily(ctx context.Context, id string) error

	// ListFamilies returns the families of a subject that have not expired,
	// the one that began first first, [MaxFamilies] at most; none is no
	// error.
	ListFamilies(ctx context.Context, subject string) ([]Family, error)
}
