package wsauth

import (
	"errors"
	"net/http"
	"time"

	"wsauth/token"
)

// SetAccess sets the two cookies of an access token: that of the token, which
// pages cannot read, and that of the CSRF value, which pages must read. r is
// the request to which w responds. If the token is not an access token, lacks
// a required csrf claim, or is too long for a cookie, SetAccess fails and sets
// nothing.
func (c *Cookies) SetAccess(w http.ResponseWriter, r *http.Request, t *token.Token) error {
	return c.set(w, r, token.TypeAccess, t)
}

// SetRefresh sets the two cookies of a refresh token, like SetAccess.
func (c *Cookies) SetRefresh(w http.ResponseWriter, r *http.Request, t *token.Token) error {
	return c.set(w, r, token.TypeRefresh, t)
}

// ClearAccess deletes the two cookies of an access token.
func (c *Cookies) ClearAccess(w http.ResponseWriter, r *http.Request) {
	c.clear(w, r, token.TypeAccess)
}

// ClearRefresh deletes the two cookies of a refresh token.
func (c *Cookies) ClearRefresh(w http.ResponseWriter, r *http.Request) {
	c.clear(w, r, token.TypeRefresh)
}

// Clear deletes all four cookies, as a logout does.
func (c *Cookies) Clear(w http.ResponseWriter, r *http.Request) {
	c.ClearAccess(w, r)
	c.ClearRefresh(w, r)
}

func (c *Cookies) set(w http.ResponseWriter, r *http.Request, typ token.Type, t *token.Token) error {
	switch {
	case t.Claims.Type != typ:
		return errors.New("wsauth: the cookie of " + string(typ) + " tokens cannot hold another type")
	case t.Claims.CSRF == "" && !c.InsecureNoCSRF:
		return errors.New("wsauth: a token in a cookie needs a csrf claim; issue it with token.Options.CSRF")
	}
	credential, csrf := c.pair(r, typ)
	credential.Value, csrf.Value = t.Raw, t.Claims.CSRF
	if len(credential.Name)+len(credential.Value) > maxCookie {
		return errors.New("wsauth: the token is too long for a cookie (4096 bytes with its name)")
	}
	http.SetCookie(w, credential)
	if !c.InsecureNoCSRF {
		http.SetCookie(w, csrf)
	}
	return nil
}

func (c *Cookies) clear(w http.ResponseWriter, r *http.Request, typ token.Type) {
	for _, cookie := range both(c.pair(r, typ)) {
		cookie.MaxAge = -1
		http.SetCookie(w, cookie)
	}
}

func both(a, b *http.Cookie) [2]*http.Cookie { return [2]*http.Cookie{a, b} }

// pair returns the two cookies of typ without values.
func (c *Cookies) pair(r *http.Request, typ token.Type) (credential, csrf *http.Cookie) {
	template := http.Cookie{
		Domain:   c.Domain,
		MaxAge:   int(c.MaxAge / time.Second),
		Secure:   c.secure(r),
		SameSite: c.SameSite,
	}
	if template.SameSite == 0 {
		template.SameSite = http.SameSiteLaxMode
	}
	one, two := template, template
	one.Name, one.Path, one.HttpOnly = c.prefixed(r, typ), c.path(typ), true
	two.Name, two.Path = c.csrfName(typ), c.csrfPath(typ)
	return &one, &two
}
