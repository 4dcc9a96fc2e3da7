package wsauth

import (
	"errors"
	"net/http"
	"time"

	"wsauth/token"
)

// SetTokens sets the two cookies of each token: that of the token, which pages
// cannot read, and that of the CSRF value, which pages must read. r is the
// request to which w responds. If a token is neither an access nor a refresh
// token, lacks a required csrf claim, or is too long for a cookie, SetTokens
// fails and sets nothing.
func (c Cookies) SetTokens(w http.ResponseWriter, r *http.Request, tokens ...*token.Token) error {
	var cookies []*http.Cookie
	for _, t := range tokens {
		pair, err := c.cookiesOf(r, t)
		if err != nil {
			return err
		}
		cookies = append(cookies, pair...)
	}
	for _, cookie := range cookies {
		http.SetCookie(w, cookie)
	}
	return nil
}

// Clear deletes the cookies of these types of token, or of access and refresh
// tokens if none is given, as a logout does.
func (c Cookies) Clear(w http.ResponseWriter, r *http.Request, types ...token.Type) {
	if len(types) == 0 {
		types = []token.Type{token.TypeAccess, token.TypeRefresh}
	}
	for _, typ := range types {
		for _, cookie := range c.pair(r, typ) {
			cookie.MaxAge = -1
			http.SetCookie(w, cookie)
		}
	}
}

// cookiesOf returns the cookies of t.
func (c Cookies) cookiesOf(r *http.Request, t *token.Token) ([]*http.Cookie, error) {
	switch typ := t.Claims.Type; {
	case typ != token.TypeAccess && typ != token.TypeRefresh:
		return nil, errors.New("wsauth: only access and refresh tokens can be in cookies")
	case t.Claims.CSRF == "" && !c.InsecureNoCSRF:
		return nil, errors.New("wsauth: a token in a cookie needs a csrf claim; issue it with token.Options.CSRF")
	}
	pair := c.pair(r, t.Claims.Type)
	pair[0].Value, pair[1].Value = t.Raw, t.Claims.CSRF
	if len(pair[0].Name)+len(pair[0].Value) > maxCookie {
		return nil, errors.New("wsauth: the token is too long for a cookie (4096 bytes with its name)")
	}
	if c.InsecureNoCSRF {
		return pair[:1], nil
	}
	return pair, nil
}

// pair returns the cookies of a token and of its CSRF value, without values.
func (c Cookies) pair(r *http.Request, typ token.Type) []*http.Cookie {
	spec := c.spec(typ)
	template := http.Cookie{
		Domain:   c.Domain,
		MaxAge:   int(c.MaxAge / time.Second),
		Secure:   c.secure(r),
		SameSite: c.SameSite,
	}
	if template.SameSite == 0 {
		template.SameSite = http.SameSiteLaxMode
	}
	credential, csrf := template, template
	credential.Name, credential.Path, credential.HttpOnly = c.prefixed(r, spec), spec.Path, true
	csrf.Name, csrf.Path = spec.CSRFName, spec.CSRFPath
	return []*http.Cookie{&credential, &csrf}
}
