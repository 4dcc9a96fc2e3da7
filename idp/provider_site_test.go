package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/idp"
	"wsauth/internal/idptest"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
	"wsauth/token/jwks"
)

// patience is how long a test waits for something that must happen soon.
const patience = 20 * time.Second

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A site is a server whose sockets open with the tokens of providers, and end
// when a provider ends their session. Its handler sends the name of the user,
// and then echoes messages.
type site struct {
	t      *testing.T
	url    string
	client *http.Client
	keys   []*jwks.Keys
	run    func() // keeps the keys up to date until the test ends
}

// onLoopback serves a site on loopback. Its tests need not wait: a token with
// an unknown key causes a fetch at once.
func onLoopback(t *testing.T, timeout time.Duration, providers ...*idptest.Provider) *site {
	t.Helper()
	var keys []*jwks.Keys
	for _, p := range providers {
		keys = append(keys, must(jwks.New(jwks.Config{Issuer: p.Issuer(), Timeout: timeout, MinInterval: 1})))
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	return serve(t, l, "http://"+l.Addr().String(), &http.Transport{DisableKeepAlives: true}, providers, keys)
}

// inBubble runs f with a site in a synctest bubble, over pipes. The keys are
// fetched at the default intervals.
func inBubble(t *testing.T, f func(t *testing.T, s *site, p *idptest.Provider)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := idptest.NewInMemory(t, "https://id.example")
		keys := must(jwks.New(jwks.Config{Issuer: p.Issuer(), Transport: p.Transport()}))
		l := wstest.NewPipes()
		transport := &http.Transport{DialContext: l.DialContext, DisableKeepAlives: true}
		f(t, serve(t, l, "http://site.example", transport, []*idptest.Provider{p}, []*jwks.Keys{keys}), p)
	})
}

func serve(t *testing.T, l net.Listener, address string, transport http.RoundTripper, providers []*idptest.Provider, keys []*jwks.Keys) *site {
	t.Helper()
	var trusted []*idp.Provider
	var verifiers []*token.Verifier
	for i, p := range providers {
		trusted = append(trusted, must(idp.New(idp.Config{
			Profile: &token.Profile{SessionID: "sid", Roles: "roles"},
			Issuer:  p.Issuer(), Audience: []string{"chat"}, Namespace: string(rune('a' + i)), Keys: keys[i],
		})))
		verifiers = append(verifiers, trusted[i].Verifier())
	}
	guard := must(wsauth.New(wsauth.Config{Verifier: must(token.NewVerifiers(verifiers...)), Revocations: memory.New(store.Limits{})}))
	mux := http.NewServeMux()
	mux.HandleFunc("/logout", must(idp.NewHandler(guard, nil, trusted...)).Logout)
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(echo)))
	server := &http.Server{Handler: mux}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		ending, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := guard.Shutdown(ending); err != nil {
			t.Error(err)
		}
		server.Close()
		stop()
		running.Wait()
	})
	return &site{t, address, &http.Client{Transport: transport}, keys, func() {
		for _, p := range trusted {
			running.Go(func() { _ = p.Run(ctx) })
		}
	}}
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for message := []byte(wsauth.ClaimsFrom(r.Context()).Subject); err == nil; {
		if err = c.Write(r.Context(), websocket.MessageText, message); err == nil {
			_, message, err = c.Read(r.Context())
		}
	}
}

// dial opens a socket and returns the user that the site reports. If the site
// refuses, dial checks the form of the refusal and returns its status.
func (s *site) dial(raw string) (c *websocket.Conn, user string, status int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, res, err := websocket.Dial(ctx, s.url+"/ws", &websocket.DialOptions{
		HTTPClient: s.client, HTTPHeader: http.Header{"Authorization": {"Bearer " + raw}},
	})
	if res == nil {
		s.t.Errorf("no answer: %v", err)
		return nil, "", 0
	}
	if err != nil {
		s.wantRefusal(res)
		return nil, "", res.StatusCode
	}
	_, message, err := c.Read(ctx)
	if err != nil {
		s.t.Errorf("the socket that has opened ends: %v", err)
	}
	return c, string(message), res.StatusCode
}

// wantRefusal checks that res is a documented refusal: 503, which tells the
// client to try again, or 401, which asks for another token.
func (s *site) wantRefusal(res *http.Response) {
	s.t.Helper()
	var problem struct{ Reason string }
	err := json.NewDecoder(res.Body).Decode(&problem)
	got := fmt.Sprint(res.StatusCode, " ", problem.Reason, " ", res.Header.Get("Retry-After"), res.Header.Get("WWW-Authenticate"))
	const unauthorized = ` Bearer error="invalid_token"`
	if err != nil || got != "503 store_unavailable 1" && got != "401 token_invalid"+unauthorized && got != "401 token_revoked"+unauthorized {
		s.t.Errorf("refused with %s, %v", got, err)
	}
}

// status returns the status of the response to a handshake.
func (s *site) status(raw string) int {
	s.t.Helper()
	c, _, status := s.dial(raw)
	if c != nil {
		c.CloseNow()
	}
	return status
}

func (s *site) wantStatus(status int, what, raw string) {
	s.t.Helper()
	if got := s.status(raw); got != status {
		s.t.Errorf("%s: %d, want %d", what, got, status)
	}
}

// awaitStatus repeats the handshake until it gets this status.
func (s *site) awaitStatus(status int, what, raw string) {
	s.t.Helper()
	for end := time.Now().Add(patience); s.status(raw) != status; {
		if time.Now().After(end) {
			s.t.Fatalf("%s: never %d", what, status)
		}
	}
}

// open opens a socket with a token that must be accepted.
func (s *site) open(raw string) *websocket.Conn {
	s.t.Helper()
	c, _, status := s.dial(raw)
	if c == nil {
		s.t.Fatalf("refused with %d", status)
	}
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// wantEcho checks that a socket is open.
func (s *site) wantEcho(c *websocket.Conn) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.Write(ctx, websocket.MessageText, []byte("still here?"))
	if err == nil {
		_, _, err = c.Read(ctx)
	}
	if err != nil {
		s.t.Errorf("an open socket has ended: %v", err)
	}
}

func (s *site) wantEnd(c *websocket.Conn) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := c.Read(ctx)
	if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 3000 || end.Reason != "session_ended" {
		s.t.Errorf("ended with %v", err)
	}
}

// logout returns the status of the response to a logout token.
func (s *site) logout(raw string) int {
	s.t.Helper()
	res, err := s.client.Post(s.url+"/logout", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"logout_token": {raw}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

var serial = func() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprint("t-", n)
	}
}()

// access returns the claims of a unique access token of RFC 9068.
func access(user string, changes map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"sub": user, "sid": "s-" + user, "aud": []string{"chat", "account"}, "client_id": "shop", "jti": serial(), "iat": now, "exp": now + 23*3600,
	}
	for name, v := range changes {
		claims[name] = v
	}
	return claims
}

var typed = map[string]any{"typ": "at+jwt"}

// tokenByKey returns an access token that is signed with the key of a kid.
func tokenByKey(p *idptest.Provider, kid string) string {
	return p.SignWith(kid, typed, access("ada", nil))
}
