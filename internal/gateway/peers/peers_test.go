package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/store/memory"
)

// join returns a node on a store, which follows the log until the test ends.
func join(t *testing.T, s Log, id string, h http.Handler) *Peers {
	t.Helper()
	p := New(Config{Log: s, Node: func() string { return id }, Logger: slog.New(slog.DiscardHandler)})
	p.Serve(h)
	index, err := revindex.New(revindex.Config{Log: s, OnEvent: p.Handle})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = index.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	<-index.Ready()
	return p
}

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusAccepted)
	addr := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	fmt.Fprintf(w, "%s %s %s from %s at %s %s: %s", r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, addr.Network(), addr, body)
}

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(store.Limits{})
		a := join(t, s, "a", http.NotFoundHandler())
		join(t, s, "b", http.HandlerFunc(echo))
		join(t, s, "c", http.NotFoundHandler())
		started := time.Now()
		got, err := a.Send(t.Context(), "b", http.MethodPost, "/v1/x?y=z", "application/json", []byte("hello"))
		want := "POST /v1/x y=z from a at cluster b: hello"
		if err != nil || got.Status != http.StatusAccepted || got.Type != "text/plain" || string(got.Body) != want {
			t.Errorf("%d %q %q, %v, want 202 %q", got.Status, got.Type, got.Body, err, want)
		}
		if took := time.Since(started); took != 0 {
			t.Errorf("took %v", took)
		}
		if got, err := a.Send(t.Context(), "a", http.MethodGet, "/v1/x", "", nil); err != nil || got.Status != http.StatusNotFound {
			t.Errorf("to itself: %d, %v, want 404", got.Status, err)
		}
		if len(a.pending) != 0 {
			t.Errorf("%d requests are still pending", len(a.pending))
		}
	})
}

// An unconfirmedLog has replicas that do not confirm events.
type unconfirmedLog struct{ *memory.Store }

func (l unconfirmedLog) Publish(ctx context.Context, e ...store.Event) error {
	return errors.Join(l.Store.Publish(ctx, e...), store.ErrUnconfirmed)
}

// TestSendUnconfirmed checks that requests and responses need no replicas.
func TestSendUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unconfirmedLog{memory.New(store.Limits{})}
		a := join(t, s, "a", http.NotFoundHandler())
		join(t, s, "b", http.HandlerFunc(echo))
		if got, err := a.Send(t.Context(), "b", http.MethodGet, "/", "", nil); err != nil || got.Status != http.StatusAccepted {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestSendLongResponse checks that a response is sent in parts, and one that is
// too long becomes an error.
func TestSendLongResponse(t *testing.T) {
	for size, want := range map[int]int{0: 200, maxPart: 200, maxPart + 1: 200, maxPart * maxParts: 200, maxPart*maxParts + 1: 500} {
		synctest.Test(t, func(t *testing.T) {
			s := memory.New(store.Limits{})
			body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			a := join(t, s, "a", http.NotFoundHandler())
			join(t, s, "b", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
			got, err := a.Send(t.Context(), "b", http.MethodGet, "/", "", nil)
			if want != 200 {
				body = nil
			}
			if err != nil || got.Status != want || !bytes.Equal(got.Body, body) {
				t.Errorf("%d bytes: status %d with %d bytes, %v, want %d", size, got.Status, len(got.Body), err, want)
			}
		})
	}
}

// TestSendWithoutResponse checks that Send fails after a second if the node
// does not exist or is slow, and that a late response does no harm.
func TestSendWithoutResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(store.Limits{})
		a := join(t, s, "a", http.NotFoundHandler())
		join(t, s, "slow", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Second) }))
		for _, node := range []string{"slow", "none"} {
			started := time.Now()
			if _, err := a.Send(t.Context(), node, http.MethodGet, "/", "", nil); !errors.Is(err, ErrNoResponse) || time.Since(started) != Patience {
				t.Errorf("%s: %v after %v, want %v after %v", node, err, time.Since(started), ErrNoResponse, Patience)
			}
		}
		time.Sleep(5 * time.Second)
		if _, err := a.Send(t.Context(), "a", http.MethodGet, "/", "", nil); err != nil {
			t.Error(err)
		}
	})
}

// TestLateRequest checks that a node that starts does not carry out the
// requests that its predecessor missed.
func TestLateRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(store.Limits{})
		a := join(t, s, "a", http.NotFoundHandler())
		if _, err := a.Send(t.Context(), "b", http.MethodPost, "/v1/drain", "", nil); !errors.Is(err, ErrNoResponse) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		join(t, s, "b", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a late request is carried out") }))
		synctest.Wait()
	})
}

// TestManyRequests checks that a node handles a limited number of requests at
// the same time.
func TestManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(store.Limits{})
		a := join(t, s, "a", http.NotFoundHandler())
		join(t, s, "b", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(Patience / 2) }))
		answered := make(chan error, 3*maxServing)
		for range cap(answered) {
			go func() {
				_, err := a.Send(t.Context(), "b", http.MethodGet, "/", "", nil)
				answered <- err
			}()
		}
		got := 0
		for range cap(answered) {
			if err := <-answered; err == nil {
				got++
			} else if !errors.Is(err, ErrNoResponse) {
				t.Error(err)
			}
		}
		if got != maxServing {
			t.Errorf("%d are answered, want %d", got, maxServing)
		}
	})
}

// FuzzHandle checks that no event makes a node panic or allocate more parts
// than a response may have.
func FuzzHandle(f *testing.F) {
	for _, data := range []string{
		"", "{}", `{"to":"a","method":"GET","target":"/"}`, `{"to":"a","method":"a b","target":"x"}`, `{"to":"a","method":"GET","target":"/%zz"}`,
		`{"to":"a","parts":1}`, `{"to":"a","parts":-1}`, `{"to":"a","number":-1,"parts":2}`, `{"to":"a","number":70,"parts":64}`, `{"to":"a","parts":1000000000}`,
	} {
		f.Add(true, data)
		f.Add(false, data)
	}
	f.Fuzz(func(t *testing.T, isRequest bool, data string) {
		synctest.Test(t, func(t *testing.T) {
			s := memory.New(store.Limits{})
			p := New(Config{Log: s, Node: func() string { return "a" }, Logger: slog.New(slog.DiscardHandler)})
			p.Serve(http.NotFoundHandler())
			x := &exchange{done: make(chan struct{})}
			p.pending["id"] = x
			kind := kindResponse
			if isRequest {
				kind = kindRequest
			}
			for range 3 {
				p.Handle(store.Event{Kind: kind, ID: "id.0", Data: []byte(data)})
			}
			synctest.Wait()
			if len(x.parts) > maxParts {
				t.Errorf("room for %d parts", len(x.parts))
			}
		})
	})
}
