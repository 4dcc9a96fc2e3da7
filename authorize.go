package wsauth

import (
	"errors"
	"net/http"
	"net/url"
	"unique"

	"wsauth/token"
)

// authorize calls check, which is Config.Authorize and may be nil.
func authorize(check func(*http.Request, *token.Claims) error, r *http.Request, claims *token.Claims) error {
	if check == nil {
		return nil
	}
	err := check(r, claims)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return refuse(NotAuthorized, err)
}

// A target is the host and the path of a handshake. Most sockets of a server
// share a few of them, so that keeping one costs a socket eight bytes.
type target struct{ host, path string }

// keepHandshake records what Config.Authorize needs of the handshake at
// renewals.
func (s *Socket) keepHandshake(r *http.Request) {
	if s.guard.config.Authorize == nil {
		return
	}
	path := r.URL.Path
	if s.waits || s.guard.extractors.stripsPath() {
		stripped := s.guard.extractors.stripped(s.Context(), r)
		path = stripped.URL.Path
		if s.waits {
			s.request = stripped
			s.request.Body = http.NoBody
		}
	}
	s.target, s.peer = unique.Make(target{r.Host, path}), r.RemoteAddr
}

// keepRequest records what Config.Authorize needs of a plain HTTP request,
// since a renewal calls it again if the response is held open. It copies
// stripped, which the handler may change.
func (s *Socket) keepRequest(stripped *http.Request) {
	if s.guard.config.Authorize != nil {
		s.request = summary(stripped.Method, stripped.Host, stripped.URL.Path, stripped.RemoteAddr)
	}
}

// summary returns a request with the fields that Config.Authorize gets at a
// renewal.
func summary(method, host, path, peer string) *http.Request {
	return &http.Request{Method: method, Host: host, URL: &url.URL{Path: path}, RemoteAddr: peer, Header: http.Header{}, Body: http.NoBody}
}

// authorize calls Config.Authorize with new claims.
func (s *Socket) authorize(claims *token.Claims) error {
	if s.guard.config.Authorize == nil {
		return nil
	}
	return authorize(s.guard.config.Authorize, s.keptRequest(), claims)
}

// keptRequest returns the request for a call of Config.Authorize: the whole
// handshake if the client has not sent its first message, and otherwise its
// summary.
func (s *Socket) keptRequest() *http.Request {
	s.mu.Lock()
	r := s.request
	s.mu.Unlock()
	if r != nil && s.ender != nil {
		return r
	}
	if r != nil {
		return r.Clone(s.Context()) // Config.Authorize may change it
	}
	of := s.target.Value()
	return summary(http.MethodGet, of.host, of.path, s.peer).WithContext(s.Context())
}
