// Package peers lets the nodes of a cluster send each other requests to the API
// for operators, as events in the log of their store. So operators can reach
// every node through any other, and no node needs a port for the others.
package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/store"
)

// The kinds of events. Their IDs begin with the random ID of the request.
const (
	kindRequest  = "wsauth.request"
	kindResponse = "wsauth.response"
)

const (
	// Patience is how long a node has to respond.
	Patience = time.Second

	// kept is how long the log keeps an event, by the clock of the store.
	kept = 10 * time.Second

	// maxServing is the maximum number of requests that a node handles at the
	// same time. It ignores further requests.
	maxServing = 8

	// maxPart is the maximum size of a part of a body, in bytes. In JSON it
	// takes a third more, because it is encoded in base64.
	maxPart = 64 << 10

	// maxParts is the maximum number of parts of a response.
	maxParts = 64
)

// ErrNoResponse means that a node has not responded in time. It may have
// carried out the request.
var ErrNoResponse = errors.New("peers: the node has not responded")

// Config configures [Peers]. All fields are required.
type Config struct {
	Log    Log
	Node   func() string // returns the ID of this node
	Logger *slog.Logger
}

// A Log is the log of a store that nodes share.
type Log interface {
	store.Log
	store.Clock
}

// Peers sends requests to other nodes, and handles those of others. It is safe
// for concurrent use.
type Peers struct {
	config  Config
	serving chan struct{} // holds a value for each request that is being handled

	mu      sync.Mutex
	handler http.Handler // nil before Serve
	pending map[string]*exchange
}

// New returns Peers without a handler. Pass the events of the log to
// [Peers.Handle].
func New(c Config) *Peers {
	return &Peers{config: c, serving: make(chan struct{}, maxServing), pending: map[string]*exchange{}}
}

// Serve makes h handle the requests of other nodes. Their RemoteAddr is the ID
// of the node.
func (p *Peers) Serve(h http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

// A request is the data of an event of kindRequest.
type request struct {
	To     string    `json:"to"` // IDs of nodes
	From   string    `json:"from"`
	Until  time.Time `json:"until"` // when From stops waiting, by the clock of the store
	Method string    `json:"method"`
	Target string    `json:"target"` // path and query
	Type   string    `json:"type,omitzero"`
	Body   []byte    `json:"body,omitzero"`
}

// A part is the data of an event of kindResponse: a part of a response.
type part struct {
	To     string `json:"to"`
	Status int    `json:"status"`
	Type   string `json:"type,omitzero"`
	Number int    `json:"number"` // from 0
	Parts  int    `json:"parts"`
	Body   []byte `json:"body,omitzero"`
}

// A Response is the response of a node.
type Response struct {
	Status int
	Type   string // Content-Type
	Body   []byte
}

// An exchange is a request that waits for its response.
type exchange struct {
	parts []*part
	left  int           // parts that have not arrived
	done  chan struct{} // closed when all have
}

// Send sends a request to a node, and returns its response. target is the path
// and the query. If the node does not respond within [Patience], the error is
// [ErrNoResponse].
func (p *Peers) Send(ctx context.Context, node, method, target, contentType string, body []byte) (Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, ErrNoResponse)
	defer cancel()
	now, err := p.config.Log.Now(ctx)
	if err != nil {
		return Response{}, err
	}
	id, x := rand.Text(), &exchange{done: make(chan struct{})}
	p.mu.Lock()
	p.pending[id] = x
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pending, id)
	}()
	e, err := newEvent(now, kindRequest, id, request{
		To: node, From: p.config.Node(), Until: now.Add(Patience), Method: method, Target: target, Type: contentType, Body: body,
	})
	if err != nil {
		return Response{}, err
	}
	if err := p.config.Log.Publish(ctx, e); err != nil && !errors.Is(err, store.ErrUnconfirmed) {
		return Response{}, err
	}
	select {
	case <-x.done:
		return x.response(), nil
	case <-ctx.Done():
		return Response{}, context.Cause(ctx)
	}
}

// newEvent returns an event with data as JSON.
func newEvent(now time.Time, kind, id string, data any) (store.Event, error) {
	text, err := json.Marshal(data)
	return store.Event{Kind: kind, ID: id, Data: text, Expires: now.Add(kept)}, err
}

// add records a part of the response. Peers.mu must be held.
func (x *exchange) add(a *part) {
	if x.parts == nil && a.Parts > 0 && a.Parts <= maxParts {
		x.parts, x.left = make([]*part, a.Parts), a.Parts
	}
	if len(x.parts) != a.Parts || a.Number < 0 || a.Number >= len(x.parts) || x.parts[a.Number] != nil {
		return // it does not belong to the response
	}
	x.parts[a.Number] = a
	if x.left--; x.left == 0 {
		close(x.done)
	}
}

// response returns the response when all parts have arrived.
func (x *exchange) response() Response {
	r := Response{Status: x.parts[0].Status, Type: x.parts[0].Type}
	for _, a := range x.parts {
		r.Body = append(r.Body, a.Body...)
	}
	return r
}

// Handle handles an event of the log. It ignores events that are not for this
// node, and does not block.
func (p *Peers) Handle(e store.Event) {
	switch e.Kind {
	case kindRequest:
		var r request
		if json.Unmarshal(e.Data, &r) != nil || r.To != p.config.Node() {
			return
		}
		select {
		case p.serving <- struct{}{}:
			go func() {
				defer func() { <-p.serving }()
				p.serve(e.ID, r)
			}()
		default:
			p.config.Logger.Warn("cluster: a request of another node is ignored, because too many are being handled", "node", r.From)
		}
	case kindResponse:
		p.receive(e)
	}
}

// receive records a part of the response to a request of this node.
func (p *Peers) receive(e store.Event) {
	var a part
	if json.Unmarshal(e.Data, &a) != nil || a.To != p.config.Node() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id, _, _ := strings.Cut(e.ID, ".")
	if x := p.pending[id]; x != nil {
		x.add(&a)
	}
}
