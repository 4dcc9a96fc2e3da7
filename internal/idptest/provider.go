// Package idptest provides an identity provider for tests. It publishes a
// discovery document and keys, signs arbitrary tokens, rotates its keys, and
// fails like real providers do.
package idptest

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The paths that a provider serves, relative to its issuer.
const (
	Discovery = "/.well-known/openid-configuration"
	JWKS      = "/keys"
)

// A Provider is an identity provider. It is safe for concurrent use.
type Provider struct {
	t         testing.TB
	issuer    string
	transport http.RoundTripper
	down      atomic.Bool
	hangUp    func() // closes open connections

	mu      sync.Mutex
	keys    []*key // the last one signs
	extra   []jsontext.Value
	faults  map[string]http.HandlerFunc
	headers http.Header
	fetches map[string]int
}

// New starts a provider over HTTP on a loopback address. It stops at the end
// of the test. It has one key, "key-1" for ES256.
func New(t testing.TB) *Provider {
	t.Helper()
	p := newProvider(t)
	server := httptest.NewUnstartedServer(p)
	server.Listener = refusing{server.Listener, &p.down}
	server.Start()
	t.Cleanup(server.Close)
	p.issuer = server.URL
	p.transport = server.Client().Transport
	p.hangUp = server.CloseClientConnections
	return p
}

// NewInMemory is like New, but without a network, for tests in a synctest
// bubble. It is reached only through its Transport, at any host.
func NewInMemory(t testing.TB, issuer string) *Provider {
	p := newProvider(t)
	p.issuer = issuer
	p.transport = memory{p}
	p.hangUp = func() {}
	return p
}

func newProvider(t testing.TB) *Provider {
	p := &Provider{t: t, faults: map[string]http.HandlerFunc{}, headers: http.Header{}, fetches: map[string]int{}}
	p.Rotate("key-1", "ES256")
	return p
}

// Issuer returns the iss of the provider's tokens, which is also its URL.
func (p *Provider) Issuer() string { return p.issuer }

// KeysURL returns the URL of its keys.
func (p *Provider) KeysURL() string { return p.issuer + JWKS }

// Transport returns a transport that reaches the provider.
func (p *Provider) Transport() http.RoundTripper { return p.transport }

// Fetches returns the number of requests for a path, without those made while
// the provider was down.
func (p *Provider) Fetches(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches[path]
}

// SetHeader sets a header field of all successful responses. An empty value
// removes it.
func (p *Provider) SetHeader(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.headers.Set(name, value); value == "" {
		p.headers.Del(name)
	}
}

// Down makes the provider drop all connections until Up.
func (p *Provider) Down() {
	p.down.Store(true)
	p.hangUp()
}

// Up undoes Down.
func (p *Provider) Up() { p.down.Store(false) }

// Answer makes h answer requests for a path, or restores the normal answer if h
// is nil. The path "" means all paths. See [Hang] and the other handlers.
func (p *Provider) Answer(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults[path] = h; h == nil {
		delete(p.faults, path)
	}
}

// ServeHTTP serves the discovery document and the keys.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.down.Load() {
		panic(http.ErrAbortHandler)
	}
	p.answer(r.URL.Path)(w, r)
}

// answer counts a request and returns its handler.
func (p *Provider) answer(path string) http.HandlerFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches[path]++
	for _, of := range []string{path, ""} {
		if h := p.faults[of]; h != nil {
			return h
		}
	}
	var body []byte
	switch path {
	case Discovery:
		body = encode(map[string]any{
			"issuer": p.issuer, "jwks_uri": p.KeysURL(), "authorization_endpoint": p.issuer + "/authorize",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "EdDSA"},
		})
	case JWKS:
		body = p.keySet()
	default:
		return http.NotFound
	}
	headers := p.headers.Clone()
	return func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), headers)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// refusing drops all connections while the provider is down.
type refusing struct {
	net.Listener
	down *atomic.Bool
}

func (l refusing) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || !l.down.Load() {
			return conn, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			// Send a reset, like a port without a listener.
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
}

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
