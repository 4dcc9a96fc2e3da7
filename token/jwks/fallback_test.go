package jwks

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/token"
)

// TestSlowDiscoveryAfterAnOutage checks that the first token is accepted once
// the keys can be fetched again, although the discovery document still hangs.
// Keys that have moved are found even if the discovery document takes longer
// than requests wait.
func TestSlowDiscoveryAfterAnOutage(t *testing.T) {
	a, b := testKeys()[0], testKeys()[1]
	const moved = issuer + "/moved"
	after := func(d time.Duration, r *http.Request) error {
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(d):
			return nil
		}
	}
	for name, try := range map[string]struct {
		takes time.Duration // the discovery document
		moved bool
	}{
		"hangs":       {time.Hour, false},
		"takes 2 s":   {2 * time.Second, false},
		"takes 1 s":   {time.Second, false},
		"and moved":   {2 * time.Second, true},
		"moved, 1 s":  {time.Second, true},
		"moved, fast": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{keys: []*token.Key{a}}
				k := newKeys(t, Config{Transport: p})
				if !has(t, k, a.ID()) {
					t.Fatal("the key is missing")
				}
				p.set(func() { p.answer = unreachable })
				time.Sleep(later)
				if _, err := k.KeySetSoon(t.Context(), b.ID()); !errors.Is(err, ErrUnavailable) {
					t.Fatalf("during the outage: %v", err)
				}
				set := text(200, nil, string(must(token.NewKeySet(a, b)).PublicJWKS()))
				body := must(io.ReadAll(set.Body))
				p.set(func() {
					p.answer = func(r *http.Request) (*http.Response, error) {
						switch where := r.URL.String(); {
						case where == certs && !try.moved || where == moved && try.moved:
							return text(200, nil, string(body)), nil
						case where != issuer+discoveryPath:
							return unreachable(r)
						case after(try.takes, r) != nil:
							return nil, r.Context().Err()
						case try.moved:
							return otherDiscovery(issuer, moved)(r)
						}
						return otherDiscovery(issuer, certs)(r)
					}
				})
				time.Sleep(later)
				found, err := k.KeySetSoon(t.Context(), b.ID())
				if try.moved && try.takes > time.Second {
					synctest.Wait()
					time.Sleep(later) // the fetch is over and has found the keys
					found, err = k.KeySetSoon(t.Context(), b.ID())
				}
				if err != nil || len(found.Keys()) != 2 {
					t.Fatalf("got %v, %v", found, err)
				}
			})
		})
	}
}

// withoutDiscovery serves the keys at their old address, and fails all other
// requests.
func withoutDiscovery(fail func(*http.Request) (*http.Response, error), keys ...*token.Key) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.String() != certs {
			return fail(r)
		}
		return text(200, nil, string(must(token.NewKeySet(keys...)).PublicJWKS())), nil
	}
}

// later is the time after which an unknown kid may cause the next fetch.
const later = defaultMinInterval + time.Second

// TestKeysAtTheOldAddress checks that a missing discovery document is not an
// outage while the keys are still at their old address, even after the keys
// themselves were unavailable.
func TestKeysAtTheOldAddress(t *testing.T) {
	a, b, c := testKeys()[0], testKeys()[1], testKeys()[2]
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, before := range map[string]func(*http.Request) (*http.Response, error){
		"at once":                         nil,
		"after both were down":            unreachable,
		"after both hung":                 hang,
		"after the keys were garbage":     func(*http.Request) (*http.Response, error) { return text(200, nil, "<html>"), nil },
		"after it was that of another":    otherDiscovery("https://evil.example", certs),
		"after it led nowhere for once":   otherDiscovery(issuer, issuer+"/nowhere"),
		"after it led to what is private": otherDiscovery(issuer, "https://10.0.0.1/certs"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{keys: []*token.Key{a}}
				k := newKeys(t, Config{Transport: p})
				if !has(t, k, a.ID()) {
					t.Fatal("the key is missing")
				}
				if before != nil {
					p.set(func() { p.answer = before })
					for range 3 {
						time.Sleep(later)
						if set, err := k.KeySet(t.Context(), "other"); !errors.Is(err, ErrUnavailable) {
							t.Fatalf("got %v, %v, want %v", set, err, ErrUnavailable)
						}
					}
				}
				p.set(func() { p.answer = withoutDiscovery(unreachable, a, b) })
				for _, want := range []*token.Key{b, c} {
					time.Sleep(later)
					if !has(t, k, want.ID()) || !has(t, k, a.ID()) {
						t.Errorf("keys are missing: %v", k.current.Load().kids)
					}
					if _, failed := status(k); failed != nil {
						t.Error(failed)
					}
					p.set(func() { p.answer = withoutDiscovery(hang, a, b, c) })
					k.refresh(t.Context()) // reads the discovery document
				}
			})
		})
	}
}

// otherDiscovery serves another discovery document, and 404 everywhere else.
func otherDiscovery(issuer, keys string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.String() == discovery {
			return text(200, nil, `{"issuer":"`+issuer+`","jwks_uri":"`+keys+`"}`), nil
		}
		return text(404, nil, ""), nil
	}
}

// TestKeysThatMove checks that keys at a new address are found after the first
// fetch that fails.
func TestKeysThatMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testKeys()[0], testKeys()[1]
		p := &provider{keys: []*token.Key{a}}
		k := newKeys(t, Config{Transport: p})
		has(t, k, a.ID())
		p.set(func() {
			p.answer = func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/new" {
					return text(200, nil, string(must(token.NewKeySet(b)).PublicJWKS())), nil
				}
				return otherDiscovery(issuer, issuer+"/new")(r)
			}
		})
		time.Sleep(later)
		if _, err := k.KeySet(t.Context(), b.ID()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("at the old address: %v", err)
		}
		time.Sleep(later)
		if !has(t, k, b.ID()) || has(t, k, a.ID()) {
			t.Error("the keys are not those at the new address")
		}
	})
}

// TestNewKeyThatComesTooSoon checks that a new key is found as soon as a kid
// may cause the next fetch. The first token of the key comes too soon after a
// fetch, or during one that started before the key was published.
func TestNewKeyThatComesTooSoon(t *testing.T) {
	a, b := testKeys()[0], testKeys()[1]
	for name, during := range map[string]bool{"after a fetch": false, "during a fetch": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{keys: []*token.Key{a}, delay: time.Second}
				k := newKeys(t, Config{Transport: p})
				has(t, k, a.ID())
				if during {
					time.Sleep(later)
					go k.refresh(t.Context())
					time.Sleep(p.delay * 3 / 2) // the document was read, and the old keys were requested
				}
				p.set(func() { p.keys = []*token.Key{a, b} })
				if has(t, k, b.ID()) {
					t.Error("the key is present before a fetch")
				}
				time.Sleep(later)
				if !has(t, k, b.ID()) {
					t.Error("the key is missing")
				}
			})
		})
	}
}

// TestAnswersAreBounded checks that the size of an answer is bounded, even if
// it is compressed.
func TestAnswersAreBounded(t *testing.T) {
	const plain = 32 << 20
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range plain >> 20 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	if err := w.Close(); err != nil || bomb.Len() > maxBody {
		t.Fatalf("the bomb has %d bytes: %v", bomb.Len(), err)
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for _, err := w.Write([]byte(`{"keys":[`)); err == nil; {
			_, err = w.Write(bytes.Repeat([]byte(" "), 64<<10))
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "longer than 1 MiB"},
		"endless": {endless, "longer than 1 MiB"},
		"a byte too long": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(" ", maxBody+1))
		}, "longer than 1 MiB"},
		"long headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Filler", strings.Repeat("a", 128<<10))
		}, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				tt.answer(w, r)
			}))
			defer server.Close()
			k := must(New(Config{URL: server.URL, Timeout: time.Minute})) // so that the time does not limit it
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := k.KeySet(t.Context(), "a")
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %.200v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > plain/2 {
				t.Errorf("%d bytes were allocated", used)
			}
			<-ended // the response is no longer read
		})
	}
}

// TestNamelessKeyInAnOutage checks that a key without a kid applies to every
// kid, also while the provider is down.
func TestNamelessKeyInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nameless := must(token.ParsePEM("", must(testKeys()[0].PublicPEM()), token.KeyOptions{}))
		p := &provider{keys: []*token.Key{nameless}}
		k := newKeys(t, Config{Transport: p})
		before, err := k.KeySet(t.Context(), "any")
		if err != nil {
			t.Fatal(err)
		}
		p.set(func() { p.answer = unreachable })
		for range 10 {
			time.Sleep(time.Minute)
			if set, err := k.KeySet(t.Context(), "any"); err != nil || set != before {
				t.Fatalf("while it is down: %v", err)
			}
		}
	})
}
