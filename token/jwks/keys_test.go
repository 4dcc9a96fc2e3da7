package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const (
	issuer    = "https://id.example"
	discovery = issuer + discoveryPath
	certs     = issuer + "/certs"
)

// A provider answers in memory, so that synctest can control the time.
type provider struct {
	mu      sync.Mutex
	keys    []*token.Key
	header  http.Header
	answer  func(*http.Request) (*http.Response, error) // instead of the keys; nil: the keys
	delay   time.Duration
	fetched atomic.Int64 // key sets
	looked  atomic.Int64 // discovery documents
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	answer, delay, header := p.answer, p.delay, p.header
	keys := p.keys
	p.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if r.URL.String() == discovery {
		p.looked.Add(1)
	} else {
		p.fetched.Add(1)
	}
	if answer != nil {
		return answer(r)
	}
	switch r.URL.String() {
	case discovery:
		return text(200, nil, `{"issuer":"`+issuer+`","jwks_uri":"`+certs+`"}`), nil
	case certs:
		set := `{"keys":[]}`
		if len(keys) > 0 {
			set = string(must(token.NewKeySet(keys...)).PublicJWKS())
		}
		return text(200, header, set), nil
	}
	return text(404, nil, ""), nil
}

func text(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

var testKeys = sync.OnceValue(func() []*token.Key {
	var keys []*token.Key
	for range 3 {
		keys = append(keys, must(token.GenerateKey(token.ES256)))
	}
	return keys
})

func newKeys(t testing.TB, c Config) *Keys {
	t.Helper()
	if c.URL == "" {
		c.Issuer = issuer
	}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func has(t testing.TB, k *Keys, kid string) bool {
	t.Helper()
	set, err := k.KeySet(t.Context(), kid)
	if err != nil {
		t.Fatalf("kid %s: %v", kid, err)
	}
	for _, key := range set.Keys() {
		if key.ID() == kid {
			return true
		}
	}
	return false
}

// status returns the number of current keys and the error of the last fetch.
func status(k *Keys) (keys int, failed error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.current.Load().set.Keys()), k.failed
}

func unreachable(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// TestR16_UnknownKids checks that ten thousand requests with unknown kids cause
// one fetch, and delay a new key by MinInterval at most.
func TestR16_UnknownKids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testKeys()[0], testKeys()[1]
		p := &provider{keys: []*token.Key{a}, delay: time.Second}
		k := newKeys(t, Config{Transport: p})
		if !has(t, k, a.ID()) {
			t.Fatal("the key is missing")
		}
		time.Sleep(time.Minute)
		p.fetched.Store(0)
		var all sync.WaitGroup
		for i := range 10_000 {
			all.Go(func() {
				if has(t, k, fmt.Sprintf("unknown-%d", i)) {
					t.Error("an unknown key is present")
				}
			})
		}
		all.Wait()
		for i := range 10_000 { // one after another
			has(t, k, fmt.Sprintf("late-%d", i))
		}
		if n := p.fetched.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		p.set(func() { p.keys = []*token.Key{a, b} })
		for i := range 9 {
			time.Sleep(time.Second)
			has(t, k, fmt.Sprintf("flood-%d", i))
		}
		time.Sleep(time.Second)
		if !has(t, k, b.ID()) {
			t.Error("during a flood a new key is not found")
		}
		if n := p.fetched.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		if len(k.unknown) > maxUnknown {
			t.Errorf("%d kids are kept", len(k.unknown))
		}
	})
}

// TestNegativeCache checks that a kid that was not found is not looked for
// again for a minute.
func TestNegativeCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{keys: testKeys()[:1]}
		k := newKeys(t, Config{Transport: p})
		for range 59 {
			has(t, k, "gone")
			time.Sleep(time.Second)
		}
		if n := p.fetched.Load(); n != 1 {
			t.Errorf("%d fetches within a minute", n)
		}
		time.Sleep(2 * time.Second)
		has(t, k, "gone")
		if n := p.fetched.Load(); n != 2 {
			t.Errorf("%d fetches after the minute", n)
		}
	})
}

// TestOutage checks that valid keys stay valid, and that no others are
// accepted, whatever the provider answers.
func TestOutage(t *testing.T) {
	a, b := testKeys()[0], testKeys()[1]
	page := func(status int, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return text(status, nil, body), nil }
	}
	good := string(must(token.NewKeySet(b)).PublicJWKS())
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"down":         unreachable,
		"500":          page(500, good),
		"204":          page(204, ""),
		"html":         page(200, "<html>"),
		"empty":        page(200, ""),
		"no keys":      page(200, `{"keys":[]}`),
		"null":         page(200, `{"keys":null}`),
		"half":         page(200, good[:len(good)/2]),
		"twice":        page(200, good+good),
		"too long":     page(200, good+strings.Repeat(" ", maxBody)),
		"secrets":      page(200, string(must(token.GenerateKey(token.HS256)).JWK())),
		"private keys": page(200, `{"keys":[`+string(b.JWK())+`]}`),
		"another": func(r *http.Request) (*http.Response, error) {
			return text(200, nil, `{"issuer":"https://evil.example","jwks_uri":"https://evil.example/"}`), nil
		},
		"hang": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"slow body": func(r *http.Request) (*http.Response, error) {
			reader, writer := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = writer.CloseWithError(r.Context().Err()) })
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: reader}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				p := &provider{keys: []*token.Key{a}}
				log := new(strings.Builder)
				k := newKeys(t, Config{Transport: p, Logger: slog.New(slog.NewTextHandler(log, nil))})
				ended := make(chan error, 1)
				go func() { ended <- k.Run(ctx) }()
				if !has(t, k, a.ID()) {
					t.Fatal("the key is missing")
				}
				before := must(k.KeySet(ctx, ""))
				p.set(func() { p.answer = answer })
				time.Sleep(time.Hour)
				started := time.Now()
				if got, err := k.KeySet(ctx, a.ID()); err != nil || got != before || time.Since(started) > 0 {
					t.Errorf("after an hour the good key is gone: %v", err)
				}
				if _, err := k.KeySet(ctx, b.ID()); !errors.Is(err, ErrUnavailable) || time.Since(started) > defaultTimeout {
					t.Errorf("an unknown key: %v, after %v", err, time.Since(started))
				}
				if n := strings.Count(log.String(), "cannot be fetched"); n != 1 {
					t.Errorf("the log says %d times that: %s", n, log)
				}
				if keys, failed := status(k); failed == nil || keys != 1 {
					t.Errorf("%d keys, the last fetch: %v", keys, failed)
				}
				p.set(func() { p.answer, p.keys = nil, []*token.Key{b} })
				time.Sleep(2 * lastRetry)
				if !has(t, k, b.ID()) || has(t, k, a.ID()) {
					t.Error("after the outage the keys are not the new ones")
				}
				stop()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

// TestDownAtTheStart checks that until the first fetch succeeds, KeySet returns
// ErrUnavailable, and that the fetch is repeated soon.
func TestDownAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{keys: testKeys()[:1], answer: unreachable}
		k := newKeys(t, Config{Transport: p})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		for _, kid := range []string{"", "x"} {
			if _, err := k.KeySet(ctx, kid); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		}
		time.Sleep(30 * time.Second)
		if n := p.looked.Load(); n < 4 || n > 8 {
			t.Errorf("%d tries in half a minute", n)
		}
		p.set(func() { p.answer = nil })
		time.Sleep(time.Minute)
		if !has(t, k, testKeys()[0].ID()) {
			t.Error("the key is missing")
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestFetchOutlivesItsRequest checks that a request that gives up does not
// abort the fetch, because others wait for it.
func TestFetchOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{keys: testKeys()[:1], delay: time.Second}
		k := newKeys(t, Config{Transport: p})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := k.KeySet(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if !has(t, k, testKeys()[0].ID()) || p.fetched.Load() != 1 {
			t.Errorf("%d fetches", p.fetched.Load())
		}
	})
}

// TestS5_KeyTakenBack checks that a withdrawn key is gone after the next fetch,
// and that an unchanged set keeps its pointer, on which caches of tokens rely.
func TestS5_KeyTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testKeys()[0], testKeys()[1]
		p := &provider{keys: []*token.Key{a, b}}
		k := newKeys(t, Config{Transport: p})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		synctest.Wait()
		before := must(k.KeySet(ctx, ""))
		time.Sleep(defaultRefresh)
		if must(k.KeySet(ctx, "")) != before || p.fetched.Load() < 2 {
			t.Errorf("the same keys are another set, after %d fetches", p.fetched.Load())
		}
		p.set(func() { p.keys = []*token.Key{b} })
		time.Sleep(defaultRefresh)
		if set := must(k.KeySet(ctx, "")); len(set.Keys()) != 1 || set.Keys()[0].ID() != b.ID() {
			t.Errorf("the keys are %v", set.Keys())
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestMaxAgeIsObeyed checks that a shorter max-age is obeyed, but not below a
// minute, and that a longer one is ignored.
func TestMaxAgeIsObeyed(t *testing.T) {
	for header, want := range map[string]int64{"": 4, "public, max-age=300": 12, "max-age=1": 60, "max-age=86400": 4, "no-store": 4} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{keys: testKeys()[:1], header: http.Header{"Cache-Control": {header}}}
			k := newKeys(t, Config{Transport: p})
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- k.Run(ctx) }()
			time.Sleep(time.Hour)
			if n := p.fetched.Load(); n < want || n > want+want/5+1 {
				t.Errorf("%q: %d fetches in an hour, want %d and a few", header, n, want)
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestMaxStale checks that old keys are used for MaxStale and no longer.
func TestMaxStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{keys: testKeys()[:1]}
		k := newKeys(t, Config{Transport: p, MaxStale: time.Hour})
		kid := testKeys()[0].ID()
		has(t, k, kid)
		p.set(func() { p.answer = unreachable })
		time.Sleep(time.Hour)
		has(t, k, kid)
		time.Sleep(time.Second)
		if _, err := k.KeySet(t.Context(), kid); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

// TestSameKidOfTwoIssuers checks that two providers with the same kid do not
// accept tokens of each other.
func TestSameKidOfTwoIssuers(t *testing.T) {
	a := must(token.ParseJWK(must(token.GenerateKey(token.ES256)).JWK(), token.KeyOptions{ID: "k"}))
	b := must(token.ParseJWK(must(token.GenerateKey(token.ES256)).JWK(), token.KeyOptions{ID: "k"}))
	verifier := func(issuer, namespace string, key *token.Key) *token.Verifier {
		p := &provider{answer: func(*http.Request) (*http.Response, error) {
			return text(200, nil, string(must(token.NewKeySet(key)).PublicJWKS())), nil
		}}
		return must(token.NewVerifier(token.VerifierConfig{Keys: newKeys(t, Config{URL: issuer + "/certs", Transport: p}), Issuer: issuer, Namespace: namespace}))
	}
	both := must(token.NewVerifiers(verifier("https://a.example", "a", a), verifier("https://b.example", "b", b)))
	for _, tt := range []struct {
		issuer string
		key    *token.Key
		want   string
	}{{"https://a.example", a, "a|ada"}, {"https://b.example", b, "b|ada"}, {"https://a.example", b, ""}, {"https://b.example", a, ""}} {
		raw := must(must(token.NewIssuer(token.IssuerConfig{Key: tt.key, Issuer: tt.issuer})).Access("ada", token.Options{})).Raw
		c, err := both.Verify(t.Context(), raw)
		if (err == nil) != (tt.want != "") || err == nil && c.Subject != tt.want || err != nil && !errors.Is(err, token.ErrSignature) {
			t.Errorf("%s: got %v, %v", tt.issuer, c, err)
		}
	}
}
