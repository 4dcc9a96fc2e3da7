package idptest

import (
	"errors"
	"net/http"
	"net/http/httptest"
)

// memory is the transport of a provider without a network.
type memory struct{ p *Provider }

var errRefused = errors.New("connection refused")

func (m memory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if m.p.down.Load() {
		return nil, errRefused
	}
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler: //nolint:errorlint // a panic's value
			resp, err = nil, errRefused
		default:
			panic(v)
		}
	}()
	w := httptest.NewRecorder()
	m.p.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp = w.Result()
	resp.Request = r
	return resp, nil
}
