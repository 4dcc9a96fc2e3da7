package wsauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// dialCoder opens a socket on a guarded server and fails the test if it
// cannot.
func dialCoder(t *testing.T, server *httptest.Server, protocols ...string) *coder.Conn {
	t.Helper()
	conn, _, err := tryCoder(t, server, protocols...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func tryCoder(t *testing.T, server *httptest.Server, protocols ...string) (*coder.Conn, *http.Response, error) {
	return coder.Dial(t.Context(), server.URL, &coder.DialOptions{
		HTTPClient:   server.Client(),
		HTTPHeader:   http.Header{"Authorization": {"Bearer x"}},
		Subprotocols: protocols,
	})
}

// closeOf reads up to the close frame and returns its code and reason.
func closeOf(t *testing.T, conn *coder.Conn) (coder.StatusCode, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, _, err := conn.Read(ctx)
		if end, ok := errors.AsType[coder.CloseError](err); ok {
			return end.Code, end.Reason
		}
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
	}
}

func TestEndOverTLS(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(100 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(guard.Require(wsauth.Access)(coderHandler(t, behavior{flood: true})))
	t.Cleanup(server.Close)
	if code, reason := closeOf(t, dialCoder(t, server)); code != 3000 || reason != "token_expired" {
		t.Errorf("close %d %q", code, reason)
	}
}

// TestHandlerReturnsBeforeItsSocket checks that the guard ends a socket that a
// handler has left to goroutines, as users of gorilla do.
func TestHandlerReturnsBeforeItsSocket(t *testing.T) {
	var pumps sync.WaitGroup
	var upgrader gorilla.Upgrader
	rig := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		pumps.Go(func() {
			defer conn.Close()
			<-r.Context().Done() // ends with the socket, not with the handler
			if cause := context.Cause(r.Context()); !errors.Is(cause, wsauth.TokenExpired) {
				t.Errorf("cause %v", cause)
			}
		})
	}), 300*time.Millisecond)
	client := rig.dial(t, false)
	<-rig.done
	if code, reason, err := client.ReadClose(); code != 3000 || reason != "token_expired" {
		t.Errorf("close %d %q, %v", code, reason, err)
	}
	pumps.Wait()
}

// TestHandlerDoesNotUpgrade checks that a handler can answer a handshake in
// HTTP, as if there were no guard.
func TestHandlerDoesNotUpgrade(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
	}{
		"error":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such room", 404) }, 404, "no such room\n"},
		"text":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>hello") }, 200, "<p>hello"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 200, ""},
		"header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Evil", "a\r\nSet-Cookie: b=c")
			w.Header()["Bad Name"] = []string{"x"}
			w.WriteHeader(http.StatusTeapot)
		}, 418, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t, test.handler, time.Hour)
			_, response, err := tryCoder(t, rig.server)
			if err == nil {
				t.Fatal("a socket was opened")
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.status || string(body) != test.body {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body, test.status, test.body)
			}
			if response.Header.Get("Set-Cookie") != "" {
				t.Error("a value broke out of its line")
			}
			_ = rig.waitForHandler(t) // either side may have closed first
		})
	}
}

// TestHandlerPanics checks that a panic does not end the program, is logged
// with its stack, and closes the socket with a reason.
func TestHandlerPanics(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	var lines wstest.Log
	mux := http.NewServeMux()
	mux.Handle("/before", guard.Require(wsauth.Access)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("a fault of the handler")
	})))
	mux.Handle("/after", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := coder.Accept(w, r, nil); err != nil {
			t.Error(err)
		}
		panic("a fault of the handler")
	})))
	mux.Handle("/abort", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		panic(http.ErrAbortHandler)
	})))
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(&lines, "", 0)
	server.Start()
	t.Cleanup(server.Close)

	dial := func(path string) (*coder.Conn, error) {
		conn, _, err := coder.Dial(t.Context(), server.URL+path, &coder.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer x"}}})
		return conn, err
	}
	if _, err := dial("/abort"); err == nil {
		t.Error("/abort opened a socket")
	}
	if got := lines.Take(); got != "" {
		t.Errorf("an abort was logged: %s", got)
	}
	begun := time.Now()
	if _, err := dial("/before"); err == nil {
		t.Error("/before opened a socket")
	}
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("the client of a panic before the upgrade waited %v", d)
	}
	conn, err := dial("/after")
	if err != nil {
		t.Fatal(err)
	}
	if code, reason := closeOf(t, conn); code != 1011 || reason != "internal_error" {
		t.Errorf("close %d %q", code, reason)
	}
	if got := lines.Take(); strings.Count(got, "panic serving") != 2 || !strings.Contains(got, "socket_test.go") {
		t.Errorf("log: %s", got)
	}
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestShutdownRefusesNewSockets checks that a guard that was shut down refuses
// new sockets but still serves plain requests: one that was in progress, and
// one that comes later.
func TestShutdownRefusesNewSockets(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/slow", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-goOn
		if r.Context().Err() != nil {
			t.Errorf("a plain request was ended: %v", context.Cause(r.Context()))
		}
		_, _ = io.WriteString(w, "slow")
	})))
	mux.Handle("/quick", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "quick")
	})))
	mux.Handle("/ws", guard.Require(wsauth.Access)(coderHandler(t, behavior{})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	get := func(path string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			return err.Error()
		}
		r.Header.Set("Authorization", "Bearer x")
		response, err := server.Client().Do(r)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(body), " ", err)
	}
	slow := make(chan string, 1)
	go func() { slow <- get("/slow") }()
	<-begun
	if err := guard.Shutdown(t.Context()); err != nil { // Shutdown does not wait for /slow
		t.Error(err)
	}
	_, response, err := coder.Dial(t.Context(), server.URL+"/ws", &coder.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer x"}}})
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%v, %v", response, err)
	}
	body, _ := io.ReadAll(response.Body)
	if !strings.Contains(string(body), `"reason":"restarting"`) {
		t.Errorf("%s", body)
	}
	if got := get("/quick"); got != "200 quick <nil>" {
		t.Errorf("a plain request after Shutdown: %s", got)
	}
	close(goOn)
	if got := <-slow; got != "200 slow <nil>" {
		t.Errorf("a plain request during Shutdown: %s", got)
	}
}

// TestShutdownHasALimit checks that a peer that does not disconnect delays
// Shutdown only until its context is done.
func TestShutdownHasALimit(t *testing.T) {
	rig := newRig(t, coderHandler(t, behavior{}), time.Hour)
	rig.dial(t, false) // and never answers the close frame
	<-rig.socket
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rig.guard.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestRefuseClose checks that a page in a browser can read code and reason,
// with the subprotocol that the browser requires, and that a page of another
// origin gets no socket.
func TestRefuseClose(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Refusal: wsauth.RefuseClose})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guard.Require(wsauth.Refresh)(coderHandler(t, behavior{})))
	t.Cleanup(server.Close)
	conn := dialCoder(t, server, "chat", "v2.chat")
	if conn.Subprotocol() != "chat" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	if code, reason := closeOf(t, conn); code != 3003 || reason != "wrong_token_type" {
		t.Errorf("close %d %q", code, reason)
	}
	_, response, err := coder.Dial(t.Context(), server.URL, &coder.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("foreign page: %v, %v", response, err)
	}
}

// TestSocketOfAPlainRequest checks that a held request has claims and ends like
// a socket.
func TestSocketOfAPlainRequest(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	called := false
	handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called = true
		if claims := wsauth.ClaimsFrom(r.Context()); claims == nil || claims.Subject != "ada" {
			t.Fatalf("claims %v", claims)
		}
		if socket := wsauth.SocketFrom(r.Context()); socket != nil {
			t.Fatalf("socket %v before Hold", socket)
		}
		if err := wsauth.Hold(r.Context()); err != nil {
			t.Fatal(err)
		}
		socket := wsauth.SocketFrom(r.Context())
		socket.End(wsauth.SessionEnded)
		socket.EndWith(&wsauth.EndError{Code: 4000, Reason: "too late"})
		var end *wsauth.EndError
		if cause := context.Cause(r.Context()); !errors.As(cause, &end) || !errors.Is(cause, wsauth.SessionEnded) || end.Code != 3000 {
			t.Errorf("cause %v", cause)
		}
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if !called {
		t.Error("the handler was not called")
	}
	if wsauth.SocketFrom(t.Context()) != nil || wsauth.ClaimsFrom(t.Context()) != nil {
		t.Error("a socket or claims without a guard")
	}
	if err := wsauth.Hold(t.Context()); err == nil {
		t.Error("Hold succeeds without a guard")
	}
	if wsauth.Follow(t.Context(), nil) != nil {
		t.Error("Follow succeeds without a guard")
	}
}

// TestEndCodes checks that a code that no endpoint may send becomes 1011, and
// that a reason that is too long is cut.
func TestEndCodes(t *testing.T) {
	for given, want := range map[int]int{1000: 1000, 1005: 1011, 1006: 1011, 1015: 1011, 999: 1011, 2999: 1011, 3000: 3000, 4999: 4999, 5000: 1011, 0: 1011, -1: 1011, 70000: 1011} {
		rig := newRig(t, coderHandler(t, behavior{}), time.Hour)
		client := rig.dial(t, false)
		(<-rig.socket).EndWith(&wsauth.EndError{Code: given, Reason: wsauth.Reason(strings.Repeat("x", 122) + "é\xff")})
		code, reason, err := client.ReadClose()
		if err != nil || code != want || reason != strings.Repeat("x", 122) {
			t.Errorf("End(%d): close %d, reason of %d bytes, %v; want %d", given, code, len(reason), err, want)
		}
		client.Conn.Close()
	}
}

// TestOfferOfH2C checks that a request that offers h2c, as Java's client does,
// is a plain one, and that no handler sees the offer.
func TestOfferOfH2C(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	var seen http.Header
	handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	r.Header.Set("Upgrade", "h2c")
	r.Header.Set("HTTP2-Settings", "AAMAAABkAAQAAP__")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if seen == nil || w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	if seen.Get("Upgrade") != "" || seen.Get("HTTP2-Settings") != "" {
		t.Errorf("the handler sees the offer: %v", seen)
	}
}

// TestStrayToken checks that a token in a query parameter that no extractor
// reads is refused (T5), and that one in a parameter that is read is not.
func TestStrayToken(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{
		Verifier:   fixedVerifier(time.Hour),
		Extractors: []wsauth.Extractor{wsauth.Query{Name: "ticket"}, wsauth.Query{Name: "access_token"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]error{
		"/?ticket=x":                      nil,
		"/?access_token=x":                nil,
		"/?ticket=x&token=eyJ.e30.x":      wsauth.InvalidRequest,
		"/?ticket=x&token=an-invitation":  nil,
		"/?ticket=x&access_token=x":       wsauth.InvalidRequest,
		"/?a=b&access_token=x&token=else": nil,
	} {
		if _, err := guard.Check(httptest.NewRequest(http.MethodGet, target, nil), wsauth.Access); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", target, err, want)
		}
	}
}

// TestExtractorByPointer checks that New accepts a pointer to an extractor, and
// a struct that embeds one.
func TestExtractorByPointer(t *testing.T) {
	for _, extractor := range []wsauth.Extractor{&wsauth.Query{Name: "token"}, struct{ wsauth.Query }{wsauth.Query{Name: "token"}}} {
		guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Extractors: []wsauth.Extractor{extractor}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guard.Check(httptest.NewRequest(http.MethodGet, "/?token=eyJ.e30.x", nil), wsauth.Access); err != nil {
			t.Errorf("%T: %v", extractor, err)
		}
	}
}

// TestConfigErrorsOfExtractors checks that New refuses extractors that would
// fail every request or silently weaken a check.
func TestConfigErrorsOfExtractors(t *testing.T) {
	for want, c := range map[string]wsauth.Config{
		"Verifier: required":        {Verifier: (*token.Verifier)(nil)},
		"Extractors[0]: nil":        {Extractors: []wsauth.Extractor{(*wsauth.Query)(nil)}},
		"the same as Extractors[0]": {Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Header{}}},
		"Domain":                    {Extractors: []wsauth.Extractor{wsauth.Cookies{Domain: "bad domain;x"}}},
		"Access.Path":               {Extractors: []wsauth.Extractor{wsauth.Cookies{Access: wsauth.CookieSpec{Path: "nopath;"}}}},
		"Access.CSRFHeader":         {Extractors: []wsauth.Extractor{wsauth.Cookies{Access: wsauth.CookieSpec{CSRFHeader: "bad header:"}}}},
		"Refresh.CSRFHeader":        {Extractors: []wsauth.Extractor{wsauth.Cookies{Refresh: wsauth.CookieSpec{CSRFHeader: "a b"}}}},
		"CSRFQuery":                 {Extractors: []wsauth.Extractor{wsauth.Cookies{CSRFQuery: "a b&c"}}},
		"MaxAge":                    {Extractors: []wsauth.Extractor{wsauth.Cookies{MaxAge: 500 * time.Millisecond}}},
		"Name and Scheme":           {Extractors: []wsauth.Extractor{wsauth.Header{Name: "X-\u00fc("}}},
	} {
		if _, err := wsauth.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error that contains %q", err, want)
		}
	}
}

// TestFoldingIsASCII checks that the Kelvin sign does not match k, and that the
// long s does not match s.
func TestFoldingIsASCII(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Origins: []string{"https://booking.example"}})
	if err != nil {
		t.Fatal(err)
	}
	check := func(upgrade, origin string) error {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": upgrade, "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin, "Authorization": "Bearer x",
		} {
			r.Header.Set(name, value)
		}
		_, err := guard.Check(r, wsauth.Access)
		return err
	}
	if err := check("WebSocket", "https://Booking.example"); err != nil {
		t.Error(err)
	}
	if err := check("websocket", "https://boo\u212aing.example"); !errors.Is(err, wsauth.OriginNotAllowed) {
		t.Errorf("Kelvin's origin: %v", err)
	}
	if err := check("web\u017foc\u212aet", "https://booking.example"); !errors.Is(err, wsauth.InvalidHandshake) {
		t.Errorf("Kelvin's upgrade: %v", err)
	}
}

// TestEndedSocketsAreFreed checks that a token that is valid for an hour does
// not keep a closed socket in memory.
func TestEndedSocketsAreFreed(t *testing.T) {
	rig := newRig(t, coderHandler(t, behavior{}), time.Hour)
	client := rig.dial(t, false)
	socket := weak.Make(<-rig.socket)
	client.Conn.Close()
	_ = rig.waitForHandler(t)
	rig.shutdown()
	deadline := time.Now().Add(patience)
	for socket.Value() != nil {
		if time.Now().After(deadline) {
			t.Fatal("the socket is still in memory")
		}
		runtime.GC()
	}
}
