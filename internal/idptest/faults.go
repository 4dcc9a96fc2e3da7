package idptest

import (
	"net/http"
	"strings"
	"time"
)

// Hang does not answer until the client gives up.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Abort drops the connection.
func Abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Status returns a handler that answers with an empty body.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Body returns a handler that answers 200 with the given body.
func Body(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

// Redirect returns a handler that answers 302.
func Redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// Drip returns a handler that answers 200 and sends a space at each interval
// until the client gives up.
func Drip(interval time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		beat := time.NewTicker(interval)
		defer beat.Stop()
		for {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			select {
			case <-beat.C:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// Half answers 200 with half of the announced body, and drops the connection.
func Half(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "64")
	_, _ = w.Write([]byte(`{"keys":[{"kty":"EC","crv":"P-25`))
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Garbage returns handlers that answer 200 without keys, by their names.
func Garbage() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"page":          Body("<!doctype html><title>Maintenance</title>"),
		"nothing":       Body(""),
		"null":          Body("null"),
		"list":          Body("[]"),
		"other JSON":    Body(`{"error":"temporarily_unavailable"}`),
		"empty set":     Body(`{"keys":[]}`),
		"keys as text":  Body(`{"keys":"none"}`),
		"only bad keys": Body(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{},7,null]}`),
		"half a body":   Half,
		"over 1 MiB":    Body(`{"keys":[` + strings.Repeat(" ", 1<<20) + `]}`),
	}
}
