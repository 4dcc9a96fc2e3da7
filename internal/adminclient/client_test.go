package adminclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/adminapi"
	"wsauth/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a transport without a network. It returns the answers in order,
// repeats the last one, and records the requests. Answers with a reason have
// status 504.
type answers struct {
	bodies   []string
	requests []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.requests = append(a.requests, r.Method+" "+r.URL.RequestURI())
	body := a.bodies[min(len(a.requests), len(a.bodies))-1]
	status := http.StatusOK
	if strings.Contains(body, `"reason"`) {
		status = http.StatusGatewayTimeout
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestAllPages checks that all pages of a list are read, one after another.
func TestAllPages(t *testing.T) {
	a := &answers{bodies: []string{
		`{"sessions":[{"sid":"s1"}],"next":"r.1"}`, `{"sessions":[{"sid":"s2"}],"next":"r.2"}`, `{"sessions":[{"sid":"s3"}]}`,
	}}
	sessions, err := newClient("http://localhost", "HERE", "", a).Sessions(t.Context(), "ada")
	if err != nil || len(sessions) != 3 || sessions[2].SID != "s3" {
		t.Errorf("got %+v, %v", sessions, err)
	}
	want := []string{
		"GET /v1/sessions?limit=1000&user=ada", "GET /v1/sessions?after=r.1&limit=1000&user=ada", "GET /v1/sessions?after=r.2&limit=1000&user=ada",
	}
	if fmt.Sprint(a.requests) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", a.requests, want)
	}
}

// TestAt checks that the node is part of every request, and that the client of
// the server itself is unchanged.
func TestAt(t *testing.T) {
	a := &answers{bodies: []string{`{}`}}
	c := newClient("http://localhost", "HERE", "", a)
	there := c.At("b")
	_, _ = there.Status(t.Context())
	_, _ = there.Sockets(t.Context(), "ada")
	_, _ = there.Revoke(t.Context(), adminapi.Revoke{})
	_, _ = there.Reload(t.Context(), adminapi.Reload{})
	_, _ = there.At("").Nodes(t.Context())
	_, _ = c.Status(t.Context())
	want := []string{"GET /v1/status?node=b", "GET /v1/sockets?limit=1000&node=b&user=ada", "POST /v1/revoke?node=b", "POST /v1/reload?node=b", "GET /v1/nodes", "GET /v1/status"}
	if fmt.Sprint(a.requests) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", a.requests, want)
	}
}

// TestUnexpectedAnswers checks the errors for answers of other programs, for
// answers that are too long, and for refusals.
func TestUnexpectedAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"no JSON":         {200, "<html>", "is not from a wsauth server"},
		"too long":        {200, `{"version":"` + strings.Repeat("x", maxAnswer) + `"}`, "is longer than"},
		"another server":  {404, "<html>\x1b", "answered with status 404 and is not a wsauth server"},
		"a redirect":      {302, "", "answered with status 302"},
		"another token":   {401, `{"detail":"x"}`, "does not accept the token"},
		"a refusal":       {422, `{"detail":"no\u001b[31m"}`, `the server refuses: no\u001b[31m (status 422)`},
		"not durable":     {503, `{"detail":"It may be forgotten","ended":true,"durable":false}`, "the server has ended it, but could not store this: It may be forgotten (status 503)"},
		"another node":    {504, `{"detail":"x","reason":"node_unreachable"}`, "the node has not responded within a second"},
		"a store in need": {503, `{"detail":"This cannot be done now; try again"}`, "try again"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		}))
		c := newClient(server.URL, "HERE", "token", &http.Transport{DisableKeepAlives: true})
		_, err := c.Status(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		server.Close()
	}
}

// TestTimeout checks that a request to a server that hangs fails after a time
// limit, and that the limit of a revocation is later than that of the server.
func TestTimeout(t *testing.T) {
	for timeout, request := range map[time.Duration]func(context.Context, *Client) error{
		requestTimeout: func(ctx context.Context, c *Client) error { _, err := c.Status(ctx); return err },
		revokeTimeout:  func(ctx context.Context, c *Client) error { _, err := c.Revoke(ctx, adminapi.Revoke{}); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			defer near.Close()
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
			started := time.Now()
			err := request(t.Context(), newClient("http://localhost", "HERE", "", transport))
			if want := fmt.Sprintf("the server at HERE did not answer within %v", timeout); err == nil || err.Error() != want || time.Since(started) != timeout {
				t.Errorf("%v after %v", err, time.Since(started))
			}
		})
	}
	if revokeTimeout <= problem.StoreTimeout {
		t.Errorf("a revocation waits for %v, and its server for %v", revokeTimeout, problem.StoreTimeout)
	}
}

// TestAwaitDrained checks that AwaitDrained returns when no socket is open, or
// at its limit.
func TestAwaitDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{bodies: []string{`{"open":{"sockets":2}}`, `{"open":{"sockets":1}}`, `{"open":{"sockets":0}}`}}
		s, err := newClient("http://localhost", "HERE", "", a).AwaitDrained(t.Context(), time.Minute)
		if err != nil || s.Open.Sockets != 0 || len(a.requests) != 3 {
			t.Errorf("%+v, %v after %d requests", s, err, len(a.requests))
		}
		a = &answers{bodies: []string{`{"open":{"sockets":1}}`}}
		s, err = newClient("http://localhost", "HERE", "", a).AwaitDrained(t.Context(), 1500*time.Millisecond)
		if err == nil || err.Error() != "open sockets: 1; the server cuts them when it stops" || s.Open.Sockets != 1 {
			t.Errorf("at the limit: %+v, %v", s, err)
		}
		const silent = `{"detail":"x","reason":"node_unreachable"}`
		a = &answers{bodies: []string{silent, `{"open":{"sockets":1}}`, silent, `{"open":{"sockets":0}}`}}
		if _, err = newClient("http://localhost", "HERE", "", a).At("b").AwaitDrained(t.Context(), time.Minute); err != nil || len(a.requests) != 4 {
			t.Errorf("with gaps: %v after %d requests", err, len(a.requests))
		}
		a = &answers{bodies: []string{`{"open":{"sockets":1}}`, silent}}
		if s, err = newClient("http://localhost", "HERE", "", a).At("b").AwaitDrained(t.Context(), 1500*time.Millisecond); !errors.Is(err, ErrNoResponse) || s.Open.Sockets != 1 {
			t.Errorf("a node that has died: %+v, %v", s, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a = &answers{bodies: []string{`{"open":{"sockets":1}}`}}
		if _, err = newClient("http://localhost", "HERE", "", a).AwaitDrained(ctx, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// TestNewPort checks that the token is sent only to this machine or over TLS.
func TestNewPort(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://127.0.0.1:9091": true, "http://[::1]:9091/": true, "http://localhost:9091": true, "https://gateway.example": true,
		"http://192.0.2.1:9091": false, "http://gateway.example": false, "127.0.0.1:9091": false, "http://u:p@127.0.0.1:9091": false,
		"http://127.0.0.1:9091/v1": false, "http://127.0.0.1:9091/?x": false, "ftp://127.0.0.1": false, "": false,
	} {
		if _, err := NewPort(address, "token"); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: got %v, want success: %v", address, err, ok)
		}
	}
}
