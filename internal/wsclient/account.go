package wsclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// An Account calls the login endpoints of a gateway to get credentials for a
// socket. It must not be used concurrently.
type Account struct {
	base    *url.URL
	http    *http.Client
	header  http.Header // added to every request
	host    string      // replaces the host of base, unless empty
	timeout time.Duration
	hide    func(secret string) // called with every secret received

	access, refresh string
	// The idempotency key of a refresh that has not been answered, or "".
	key string
	// Expiry of the access token, zero if unknown.
	expires time.Time
	// Lifetime of the access token when it was issued.
	life time.Duration
}

// tokens is the response to a login or a refresh.
type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// Login begins a session. If the server refuses, the error is a [*Refusal].
func (a *Account) Login(ctx context.Context, user, password string) error {
	return a.renew(ctx, Login, "", struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}{user, password})
}

// refreshTries is the number of attempts of a refresh whose answer is lost.
const refreshTries = 4

// Refresh exchanges the refresh token for new tokens. This extends the sockets
// of the session. If the answer is lost, Refresh retries with the same
// idempotency key, after random pauses whose limit doubles each time. Further
// calls use the same key until an answer has been received.
func (a *Account) Refresh(ctx context.Context) error {
	if a.key == "" {
		a.key = rand.Text()
	}
	started := time.Now()
	for try := 1; ; try++ {
		err := a.renew(ctx, Refresh, a.refresh, nil)
		if err == nil {
			a.key = ""
			return nil
		}
		if try == refreshTries || !isLost(err) || time.Since(started) >= a.timeout {
			return err
		}
		pause := time.NewTimer(retryIn(try))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// isLost reports whether the server may have processed a request that failed
// with err: there was no response, or a server error without Retry-After.
func isLost(err error) bool {
	refusal, refused := errors.AsType[*Refusal](err)
	return !refused || refusal.Status >= http.StatusInternalServerError && refusal.RetryAfter == ""
}

// maxLife is the maximum lifetime of a token that the server may report, about
// a year in seconds.
const maxLife = 366 * 24 * 60 * 60

func (a *Account) renew(ctx context.Context, step Step, bearer string, body any) error {
	var t tokens
	if err := a.post(ctx, step, bearer, body, &t); err != nil {
		return err
	}
	a.hide(t.Access)
	a.hide(t.Refresh)
	if t.Refresh == "" {
		t.Refresh = a.refresh
	}
	for _, token := range []string{t.Access, t.Refresh} {
		if clean, err := CheckToken(token); err != nil || clean != token || t.ExpiresIn < 0 || t.ExpiresIn > maxLife {
			return fmt.Errorf("the answer to the %s is not from wsauth: it has no valid tokens", step)
		}
	}
	a.access, a.refresh = t.Access, t.Refresh
	a.life, a.expires = time.Duration(t.ExpiresIn)*time.Second, time.Time{}
	if t.ExpiresIn > 0 {
		// The lifetime is rounded to seconds, so the token may expire earlier.
		a.expires = time.Now().Add(a.life - time.Second)
	}
	return nil
}

// Ticket requests a ticket for one socket at path, using a bearer token.
func (a *Account) Ticket(ctx context.Context, bearer, path string) (string, error) {
	var answer struct {
		Ticket string `json:"ticket"`
	}
	if err := a.post(ctx, GetTicket, bearer, map[string]string{"path": path}, &answer); err != nil {
		return "", err
	}
	a.hide(answer.Ticket)
	ticket, err := CheckToken(answer.Ticket)
	if err != nil {
		return "", errors.New("the answer to the request for a ticket has none")
	}
	return ticket, nil
}

// Logout ends the session. ended reports whether this call ended it; it is not
// an error if the server no longer knows the session.
func (a *Account) Logout(ctx context.Context) (ended bool, err error) {
	bearer := a.access
	if !a.expires.IsZero() && !time.Now().Before(a.expires) {
		bearer = a.refresh
	}
	err = a.post(ctx, Logout, bearer, nil, nil)
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.own && refusal.Status == http.StatusUnauthorized {
		return false, nil
	}
	return err == nil, err
}

// paths maps steps to endpoints below the address of the login endpoints.
var paths = map[Step]string{Login: "login", Refresh: "refresh", GetTicket: "ticket", Logout: "logout"}

// post sends a request and decodes the JSON of the response into v, unless v
// is nil.
func (a *Account) post(ctx context.Context, step Step, bearer string, body, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("no answer in %s", a.timeout))
	defer cancel()
	req, err := a.request(ctx, step, bearer, body)
	if err != nil {
		return fmt.Errorf("%s: %w", step, withoutURL(err))
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return unreachable(string(step)+" at", req.URL, cause(ctx, withoutURL(err)))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return readRefusal(step, resp, bearer != "")
	}
	if v == nil {
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s at %s: %w", step, req.URL.Host, cause(ctx, err))
	case len(answer) > maxAnswer:
		return fmt.Errorf("%s at %s: the answer is longer than %d bytes", step, req.URL.Host, maxAnswer)
	case json.Unmarshal(answer, v) != nil: // its error might quote a token
		return fmt.Errorf("%s at %s: the answer is not from wsauth: it is not JSON in the expected form", step, req.URL.Host)
	}
	return nil
}

func (a *Account) request(ctx context.Context, step Step, bearer string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base.JoinPath(paths[step]).String(), content)
	if err != nil {
		return nil, err
	}
	req.Header = a.header.Clone()
	req.Host = a.host
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if step == Refresh {
		req.Header.Set("Idempotency-Key", a.key)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return req, nil
}

// cause returns the cause if ctx has ended, and err otherwise.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}
