package login

import (
	"net/http"

	"wsauth"
)

// origins decides what pages of other origins may do.
type origins struct {
	protection *http.CrossOriginProtection
	permitted  func(*http.Request) (tokens, cookies bool) // see Config.CrossOrigin
	cookies    *cookies
}

func newOrigins(c Config, cookies *cookies) (*origins, error) {
	o := &origins{protection: http.NewCrossOriginProtection(), permitted: c.CrossOrigin, cookies: cookies}
	if o.permitted == nil {
		o.permitted = func(*http.Request) (bool, bool) { return false, false }
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
	if tokens, cookies := o.permitted(r); cookies || tokens && !o.cookies.in(r) {
		return nil
	}
	return &wsauth.Error{Reason: wsauth.OriginNotAllowed, Message: crossOriginDetail, Err: err}
}

// losesCookies reports whether the browser drops the cookies of the answer to
// r, because CORS does not allow the page to use credentials.
func (o *origins) losesCookies(r *http.Request) bool {
	tokens, cookies := o.permitted(r)
	return o.protection.Check(r) != nil && tokens && !cookies
}
