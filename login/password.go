package login

import (
	"context"
	"errors"
	"time"
)

// passwordTimeout is how long a password may wait to be checked.
const passwordTimeout = 10 * time.Second

// passwordFault returns an error text if the password of a request body is
// missing or too long, or "".
func passwordFault(password *string) string {
	switch {
	case password == nil:
		return "password is required"
	case len(*password) > maxPassword:
		return "password is longer than 1024 bytes"
	}
	return ""
}

// passwords checks passwords, and limits failed attempts.
type passwords struct {
	users    Authenticator
	attempts *attempts
}

// check counts an attempt of c and checks the password. If the attempt is
// allowed, it calls start before it checks the password. The error is that of
// start, errBadPassword, a [*rateError] or a [*passwordError].
func (p *passwords) check(ctx context.Context, c caller, password string, start func() error) error {
	attempt, wait := p.attempts.begin(c, time.Now())
	if wait > 0 {
		return &rateError{wait, "Too many failed attempts; wait and try again"}
	}
	defer func() { attempt.failed(time.Now()) }() // no effect if it has already ended
	if err := start(); err != nil {
		attempt.undo() // the client has learned nothing
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, passwordTimeout)
	defer cancel()
	ok, err := p.users.Authenticate(withHashClient(ctx, c.hashClient()), c.name, password)
	if err != nil {
		attempt.undo() // the client has learned nothing
		if busy, isBusy := errors.AsType[busyError](err); isBusy {
			return &rateError{busy.wait, "Too many passwords are being checked; wait and try again"}
		}
		return &passwordError{err}
	}
	if !ok {
		return errBadPassword
	}
	p.attempts.succeeded(attempt, c, time.Now())
	return nil
}
