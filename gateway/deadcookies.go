package gateway

import (
	"errors"
	"net/http"

	"wsauth"
)

// clearCookies deletes the cookies of a request that was made with them. Those that only came along are left: they belong to
// another login of the same browser, which would be out of reach and yet alive.
func (g *Gateway) clearCookies(w http.ResponseWriter, r *http.Request) {
	if byCookie(r) {
		g.cookies.Clear(w, r)
	}
}

// byCookie reports whether the credential of r, which has one, is a cookie: where there is another it is that, or r was refused
// for having two.
func byCookie(r *http.Request) bool {
	for _, location := range []wsauth.Location{wsauth.Header{}, wsauth.Ticket{}} {
		if c, err := location.Extract(r, wsauth.Access); err != nil || c.Token != "" {
			return false
		}
	}
	return true
}

// refuse answers a request that was refused with err. It deletes cookies that will never be good again, which the page cannot.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if dead(err) {
		g.clearCookies(w, r)
	}
	g.guard.Refuse(w, r, err)
}

// dead reports whether a token was refused because it is no longer what it was.
func dead(err error) bool {
	return errors.Is(err, wsauth.TokenRevoked) || errors.Is(err, wsauth.TokenExpired) || errors.Is(err, wsauth.SessionEnded)
}
