package wsauth

import (
	"context"
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

// A keptRequest holds the parts of a socket's request that Config.Authorize
// needs when it is called again at a renewal.
type keptRequest struct {
	request *http.Request // nil for a handshake, unless the token is expected in the first message
	target  unique.Handle[target]
	peer    string
}

// A target is the host and the path of a handshake. Most sockets of a server
// share a few of them, so a socket keeps only a handle of eight bytes.
type target struct{ host, path string }

// keepHandshake keeps a handshake without credentials: the whole request, or
// only its summary.
func keepHandshake(r *http.Request, x *extractors, whole bool) keptRequest {
	k := keptRequest{peer: r.RemoteAddr}
	path := r.URL.Path
	if whole || x.stripsAnywhere() {
		stripped := x.stripped(r.Context(), r)
		path = stripped.URL.Path
		if whole {
			stripped.Body = http.NoBody
			k.request = stripped
		}
	}
	k.target = unique.Make(target{r.Host, path})
	return k
}

// keepPlain keeps the summary of a plain HTTP request, because its response may
// be held open. It copies stripped, because the handler may change it.
func keepPlain(stripped *http.Request) keptRequest {
	return keptRequest{request: summary(stripped.Method, stripped.Host, stripped.URL.Path, stripped.RemoteAddr)}
}

// clone returns a copy of the request with the context ctx. Config.Authorize
// may change the copy.
func (k keptRequest) clone(ctx context.Context) *http.Request {
	if k.request != nil {
		return k.request.Clone(ctx)
	}
	of := k.target.Value()
	return summary(http.MethodGet, of.host, of.path, k.peer).WithContext(ctx)
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
	s.mu.Lock()
	kept := s.kept
	s.mu.Unlock()
	return authorize(s.guard.config.Authorize, kept.clone(s.Context()), claims)
}
