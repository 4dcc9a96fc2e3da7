package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"wsauth"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
)

const (
	// soakSockets is for a gateway that may have 20,000 descriptors open. A
	// socket uses two; the gateway reserves some for itself and for plain
	// requests.
	soakSockets = 8100

	soakTTL      = 2 * time.Minute // of an access token; short, so that sessions are refreshed constantly
	soakPerLogin = 3               // sockets of one session
	soakRefresh  = 50 * time.Second
	soakEcho     = 10 * time.Second // between two messages of a socket
	soakReload   = 5 * time.Second
	soakExpected = "session_ended"
	soakPatience = 30 * time.Second // for events that must happen at once
)

// serveSoak runs a gateway whose routes change continually.
func serveSoak(upstream string) error {
	keys, issuer, err := newKeys()
	if err != nil {
		return err
	}
	route := proxy.Route{Path: "/", Upstreams: []string{"http://" + upstream}}
	g, err := gateway.New(gateway.Config{
		Tokens: tokens.Config{Keys: keys},
		Limits: wsauth.Limits{PerSubject: -1},
		Login: login.Config{
			Users:     login.AuthenticatorFunc(func(context.Context, string, string) (bool, error) { return true, nil }),
			AccessTTL: soakTTL,
		},
		Front:  front.Config{MaxConnectionsPerAddress: 2 * soakSockets}, // one address opens all of them
		Routes: []proxy.Route{route},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	listener, err := front.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for i := 0; ; i++ {
			time.Sleep(soakReload)
			changed := route
			changed.Headers = map[string]string{"X-User": "sub", "X-Generation": fmt.Sprintf("generation%d", i)}
			if err := g.Update([]proxy.Route{changed, {Path: fmt.Sprintf("/new/%d/", i), Upstreams: route.Upstreams}}); err != nil {
				exitOn(err)
			}
		}
	}()
	go func() { _ = g.Serve(context.Background(), listener) }()
	return (&server{issuer: issuer}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// A soakTest keeps sockets open for a long time, and counts what happens.
type soakTest struct {
	gateway  *child
	until    time.Time
	echoes   atomic.Int64
	logouts  atomic.Int64
	renewals atomic.Int64
	closed   atomic.Int64 // by a logout, as expected

	mu     sync.Mutex
	faults map[string]int // number of each fault
}

// A soakSession is one session with its sockets.
type soakSession struct {
	client          *http.Client
	access, refresh string
	loggedOut       atomic.Bool
}

// soak keeps sockets open through the gateway during logouts, refreshes and
// changes of its routes. It fails if a socket ends unexpectedly.
func soak() error {
	sockets, duration := soakSockets, 10*time.Minute
	if brief := os.Getenv("WSAUTH_BENCH_SOAK"); brief != "" { // a shorter time, for a first look
		d, err := time.ParseDuration(brief)
		if err != nil {
			return err
		}
		sockets, duration = 900, d
	}
	backend, err := start("echo")
	if err != nil {
		return err
	}
	defer backend.stop()
	g, err := start("soak", backend.Addr)
	if err != nil {
		return err
	}
	defer g.stop()
	s := &soakTest{gateway: g, until: time.Now().Add(duration), faults: map[string]int{}}
	var running sync.WaitGroup
	for i := range sockets / soakPerLogin {
		running.Go(func() { s.runUser(i) })
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("soak: %d sockets are open\n", sockets)
	running.Wait()
	u, err := g.ask("memory")
	if err != nil {
		return err
	}
	unexpected := 0
	for _, n := range s.faults {
		unexpected += n
	}
	fmt.Printf("soak: %d sockets for %s: %d messages, %d refreshes, %d logouts that closed %d sockets, routes changed every %s; %.0f MiB resident at the end; %d unexpected\n",
		sockets, duration, s.echoes.Load(), s.renewals.Load(), s.logouts.Load(), s.closed.Load(), soakReload, float64(u.Resident)/(1<<20), unexpected)
	if unexpected > 0 {
		return fmt.Errorf("soak: unexpected: %v", s.faults)
	}
	return nil
}

// runUser logs in repeatedly, as one user from one address, until the time is
// over.
func (s *soakTest) runUser(user int) {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+user>>16), byte(user>>8), byte(user))}}
	client := &http.Client{Timeout: soakPatience, Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
	defer client.CloseIdleConnections()
	for time.Now().Before(s.until) {
		session := &soakSession{client: client}
		if err := s.post(session, "/auth/login", fmt.Sprintf(`{"username":"user%d","password":"x"}`, user)); err != nil {
			s.fault(err)
			return
		}
		s.runSession(session)
	}
}

// runSession opens the sockets of a session and keeps them until it is logged
// out.
func (s *soakTest) runSession(session *soakSession) {
	var sockets sync.WaitGroup
	for range soakPerLogin {
		sockets.Go(func() {
			if err := s.socket(session, session.access); err != nil {
				s.fault(err)
			}
		})
	}
	// On average a session lasts four minutes.
	end := time.Now().Add(time.Duration(rand.Int64N(int64(8 * time.Minute))))
	for {
		pause := soakRefresh/2 + time.Duration(rand.Int64N(int64(soakRefresh/2)))
		if left := time.Until(s.until); left < pause {
			time.Sleep(left)
			break
		}
		time.Sleep(pause)
		if time.Now().After(end) {
			break
		}
		if err := s.post(session, "/auth/refresh", ""); err != nil {
			s.fault(err)
			break
		}
		s.renewals.Add(1)
	}
	if time.Now().After(s.until) {
		time.Sleep(time.Duration(rand.Int64N(int64(soakPatience)))) // not all at the same time
	}
	session.loggedOut.Store(true)
	if err := s.post(session, "/auth/logout", ""); err != nil {
		s.fault(err)
	}
	s.logouts.Add(1)
	sockets.Wait()
}

// socket sends messages until the close frame arrives, which must be that of
// the logout.
func (s *soakTest) socket(session *soakSession, access string) error {
	conn, r, err := open(s.gateway.Addr, "/", access)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		code, reason, err := s.message(conn, r)
		switch {
		case err != nil && !session.loggedOut.Load():
			return fmt.Errorf("before a logout: %w", err)
		case err != nil:
			return fmt.Errorf("no close frame after a logout: %w", err)
		case code == 0:
			continue
		case code != 3000 || reason != soakExpected || !session.loggedOut.Load():
			return fmt.Errorf("closed with %d %q, logged out: %v", code, reason, session.loggedOut.Load())
		}
		s.closed.Add(1)
		return nil
	}
}

// message waits, sends a message, and reads the echo or a close frame, which
// may have arrived in the meantime.
func (s *soakTest) message(conn net.Conn, r *bufio.Reader) (code int, reason string, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(time.Duration(rand.Int64N(int64(2 * soakEcho)))))
	if _, err := r.Peek(1); err == nil {
		return s.frame(r)
	} else if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		return 0, "", err
	}
	_ = conn.SetDeadline(time.Now().Add(soakPatience))
	if _, err := conn.Write(append(append(binaryHead(32, 0x80), 0, 0, 0, 0), make([]byte, 32)...)); err != nil {
		return s.frame(r) // a close frame may have arrived before
	}
	return s.frame(r)
}

// frame reads one frame. Its code is 0 unless it is a close frame.
func (s *soakTest) frame(r *bufio.Reader) (code int, reason string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, "", err
	}
	if head[0] == 0x88 && len(payload) >= 2 {
		return int(binary.BigEndian.Uint16(payload)), string(payload[2:]), nil
	}
	s.echoes.Add(1)
	return 0, "", nil
}

// post sends a request of a session and stores the tokens of the response.
func (s *soakTest) post(session *soakSession, path, body string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.gateway.Addr+path, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Header.Set("Authorization", "Bearer "+session.refresh)
	}
	resp, err := session.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %d %s, %w", path, resp.StatusCode, answer, err)
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(answer, &tokens) == nil && tokens.Refresh != "" {
		session.access, session.refresh = tokens.Access, tokens.Refresh
	}
	return nil
}

func (s *soakTest) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[err.Error()]++
}
