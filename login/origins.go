package login

import (
	"net/http"

	"wsauth"
)

// A CrossOrigin says what a page of another origin may do.
type CrossOrigin int

const (
	// CrossOriginNothing refuses every request that may change something.
	CrossOriginNothing CrossOrigin = iota

	// CrossOriginTokens allows requests without cookies of this service. A token
	// that a page adds itself needs no protection from other pages; cookies do. A
	// login of such a page cannot ask for cookies.
	CrossOriginTokens

	// CrossOriginCookies allows every request.
	CrossOriginCookies
)

// origins decides what pages of other origins may do.
type origins struct {
	protection *http.CrossOriginProtection
	permitted  func(*http.Request) CrossOrigin
	cookies    *cookies
}

func newOrigins(c Config, cookies *cookies) (*origins, error) {
	o := &origins{protection: http.NewCrossOriginProtection(), permitted: c.CrossOrigin, cookies: cookies}
	if o.permitted == nil {
		o.permitted = func(*http.Request) CrossOrigin { return CrossOriginNothing }
	}
	for _, origin := range c.Origins {
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return nil, &FieldError{"Origins", err}
		}
	}
	return o, nil
}

const crossOriginDetail = "Pages of other sites may not send this request"

// check returns an error if r may change something and was sent by a page that
// may not send it.
func (o *origins) check(r *http.Request) error {
	err := o.protection.Check(r)
	if err == nil {
		return nil
	}
	switch o.permitted(r) {
	case CrossOriginCookies:
		return nil
	case CrossOriginTokens:
		if !o.cookies.in(r) {
			return nil
		}
	}
	return &wsauth.Error{Reason: wsauth.OriginNotAllowed, Message: crossOriginDetail, Err: err}
}

// losesCookies reports whether r was sent by a page whose browser drops the
// cookies of the answer, because CORS allows it no credentials.
func (o *origins) losesCookies(r *http.Request) bool {
	return o.protection.Check(r) != nil && o.permitted(r) == CrossOriginTokens
}
