package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsauth/internal/problem"
	"wsauth/store"
)

// serve handles a request of another node and publishes the response, unless
// the other node no longer waits for it.
func (p *Peers) serve(id string, of request) {
	ctx, cancel := context.WithTimeout(context.Background(), problem.StoreTimeout+Patience)
	defer cancel()
	p.mu.Lock()
	handler := p.handler
	p.mu.Unlock()
	now, err := p.config.Log.Now(ctx)
	if err != nil || handler == nil || now.After(of.Until) {
		return // without a response, Send returns ErrNoResponse at the other node
	}
	w := &recorder{header: http.Header{}}
	if r := of.http(ctx); r != nil {
		handler.ServeHTTP(w, r)
	} else {
		w.WriteHeader(http.StatusBadRequest)
	}
	events, err := w.events(now, id, of.From)
	if err == nil {
		err = p.config.Log.Publish(ctx, events...)
	}
	if err != nil && !errors.Is(err, store.ErrUnconfirmed) {
		p.config.Logger.Warn("cluster: cannot respond to another node", "node", of.From, "error", err)
	}
}

// http returns r as a request for a handler, or nil if r is invalid.
func (r request) http(ctx context.Context) *http.Request {
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(nodeAddr(r.To)))
	made, err := http.NewRequestWithContext(ctx, r.Method, "http://localhost"+r.Target, bytes.NewReader(r.Body))
	if err != nil || !strings.HasPrefix(r.Target, "/") {
		return nil
	}
	made.RequestURI, made.RemoteAddr = r.Target, r.From
	if r.Type != "" {
		made.Header.Set("Content-Type", r.Type)
	}
	return made
}

// Network is the network of the local address of requests from other nodes; see
// [http.LocalAddrContextKey].
const Network = "cluster"

// A nodeAddr is the ID of a node, as the local address of the requests that it
// receives from other nodes.
type nodeAddr string

// Network implements [net.Addr].
func (nodeAddr) Network() string { return Network }

// String implements [net.Addr].
func (a nodeAddr) String() string { return string(a) }

// A recorder is an http.ResponseWriter that keeps the response. A response that
// is too long becomes one with status 500 and no body.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

// Header implements [http.ResponseWriter].
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if len(w.body)+len(b) > maxPart*maxParts {
		w.status, w.body = http.StatusInternalServerError, nil
		return 0, fmt.Errorf("peers: a response of more than %d bytes", maxPart*maxParts)
	}
	w.body = append(w.body, b...)
	return len(b), nil
}

// events returns the response as events for a node.
func (w *recorder) events(now time.Time, id, to string) ([]store.Event, error) {
	w.WriteHeader(http.StatusOK)
	bodies := slices.Collect(slices.Chunk(w.body, maxPart))
	if len(bodies) == 0 {
		bodies = [][]byte{nil}
	}
	events := make([]store.Event, len(bodies))
	for i, body := range bodies {
		a := part{To: to, Status: w.status, Type: w.header.Get("Content-Type"), Number: i, Parts: len(bodies), Body: body}
		var err error
		if events[i], err = newEvent(now, kindResponse, id+"."+strconv.Itoa(i), a); err != nil {
			return nil, err
		}
	}
	return events, nil
}
