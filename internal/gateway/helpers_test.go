package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/logintest"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A rig is a gateway behind its own server, with a client.
type rig struct {
	logintest.Client
	g      *Gateway
	store  store.Store
	log    *wstest.Log
	stop   context.CancelFunc
	served chan error // what Serve returned
}

// start serves a gateway on loopback until the test ends.
func start(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, "http://"+l.Addr().String(), &http.Transport{}, change)
}

func serve(t *testing.T, l net.Listener, url string, transport *http.Transport, change []func(*Config)) *rig {
	t.Helper()
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	log := &wstest.Log{}
	c := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Login: login.Config{Users: demo.Users{}}, Logger: slog.New(slog.NewTextHandler(log, nil))}
	for _, f := range change {
		f(&c)
	}
	if c.Store == nil {
		c.Store = memory.New(store.Limits{})
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &rig{Client: logintest.New(t, url, transport), g: g, store: c.Store, log: log, stop: stop, served: make(chan error, 1)}
	r.Document = document
	go func() {
		r.served <- g.Serve(ctx, l)
		close(r.served)
	}()
	t.Cleanup(func() {
		r.HTTP.CloseIdleConnections()
		stop()
		if err, open := <-r.served; open && err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// awaitReady waits until the gateway has read its revocations for the first
// time. Serve does not wait for that, but requests do.
func (r *rig) awaitReady() {
	r.T.Helper()
	for started := time.Now(); ; time.Sleep(time.Millisecond) {
		err := r.g.Ready()
		if err == nil {
			return
		}
		if time.Since(started) > 10*time.Second {
			r.T.Fatal(err)
		}
	}
}

// bearer and csrf return header lines.
func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

const jsonType = "Content-Type: application/json"

// anyone accepts every name with the password "test".
var anyone = login.AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) { return password == "test", nil })

// openEcho opens the socket and reads the welcome.
func (r *rig) openEcho(access string) *websocket.Conn {
	r.T.Helper()
	conn := r.Open("", bearer(access))
	if _, err := r.Read(conn); err != nil {
		r.T.Fatal(err)
	}
	return conn
}

// must returns v. It panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// isTimeout reports whether err is a timeout of the network.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestMain fails if a goroutine outlives the tests: the server has leaked it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
