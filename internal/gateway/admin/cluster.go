package admin

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/peers"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/nodelease"
	"wsauth/internal/problem"
)

// A Cluster consists of the nodes that share a store with this one.
type Cluster interface {
	// ID returns the ID of this node, which may change.
	ID() string

	// List returns the nodes that are alive.
	List(context.Context) ([]nodelease.Node, error)

	// Send sends a request to a node; see [peers.Peers.Send].
	Send(ctx context.Context, node, method, target, contentType string, body []byte) (peers.Response, error)
}

// nodes answers GET /v1/nodes.
func (a *API) nodes(w http.ResponseWriter, r *http.Request) {
	if !noQuery(w, r) {
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	if nodes, ok := a.listNodes(ctx, w, r); ok {
		problem.WriteJSON(w, adminapi.Nodes{Nodes: nodes})
	}
}

// listNodes returns this node and the others that are alive, by name. If the
// store fails, listNodes answers r and returns false.
func (a *API) listNodes(ctx context.Context, w http.ResponseWriter, r *http.Request) ([]adminapi.Node, bool) {
	this := adminapi.Node{ID: a.nodeID(), Version: a.config.Version, Started: a.started.Unix(), This: true}
	if a.config.Cluster == nil {
		return []adminapi.Node{this}, true
	}
	alive, err := a.config.Cluster.List(ctx)
	if err != nil {
		telemetry.AnswerProblem(w, r, problem.StoreFailure(a.log, "admin: cannot list the nodes", err))
		return nil, false
	}
	var nodes []adminapi.Node
	listed := false
	for _, n := range alive {
		isThis := n.ID == this.ID
		listed = listed || isThis
		nodes = append(nodes, adminapi.Node{ID: n.ID, Name: n.Name, Version: n.Version, Started: n.Started.Unix(), This: isThis})
	}
	if !listed { // its lease has ended, and will soon be renewed
		nodes = append(nodes, this)
	}
	slices.SortFunc(nodes, func(a, b adminapi.Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return nodes, true
}

// nodeID returns the ID of this node, or "" if it is the only one.
func (a *API) nodeID() string {
	if a.config.Cluster == nil {
		return ""
	}
	return a.config.Cluster.ID()
}

// atNode passes requests without a node in their query to next, and forwards
// the others to the node that they name.
func (a *API) atNode(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			refuse(w, r, http.StatusBadRequest, "invalid_request", "The query is malformed")
			return
		}
		if !query.Has("node") {
			next.ServeHTTP(w, r)
			return
		}
		node, ok := a.findNode(w, r, query["node"])
		if !ok {
			return
		}
		query.Del("node")
		if !node.This {
			a.forward(w, r, node.ID, query)
			return
		}
		here := r.Clone(r.Context())
		here.URL.RawQuery = query.Encode()
		next.ServeHTTP(w, here)
	})
}

// findNode returns the node with the ID or, otherwise, the name that r asks
// for. If there is none, findNode answers r and returns false.
func (a *API) findNode(w http.ResponseWriter, r *http.Request, asked []string) (adminapi.Node, bool) {
	if len(asked) != 1 || asked[0] == "" {
		refuse(w, r, http.StatusBadRequest, "invalid_request", "node must occur once, with the name or the ID of a node")
		return adminapi.Node{}, false
	}
	if networkOf(r) == peers.Network { // nodes could forward it in a loop
		refuse(w, r, http.StatusBadRequest, "invalid_request", "This request comes from another node, and is not forwarded")
		return adminapi.Node{}, false
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	nodes, ok := a.listNodes(ctx, w, r)
	if !ok {
		return adminapi.Node{}, false
	}
	var found []adminapi.Node
	for _, n := range nodes {
		switch asked[0] {
		case n.ID:
			return n, true
		case n.Name:
			found = append(found, n)
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		refuse(w, r, http.StatusNotFound, "", "No node has this name or ID")
	default:
		refuse(w, r, http.StatusBadRequest, "invalid_request", "Several nodes have this name; use an ID")
	}
	return adminapi.Node{}, false
}

// forward sends r with another query to a node, and answers with its response.
func (a *API) forward(w http.ResponseWriter, r *http.Request, node string, query url.Values) {
	// The node refuses a body that is too long.
	body, err := io.ReadAll(io.LimitReader(r.Body, problem.MaxBody+1))
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "invalid_request", "The body cannot be read")
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	target := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: query.Encode()}
	answer, err := a.config.Cluster.Send(ctx, node, r.Method, target.RequestURI(), r.Header.Get("Content-Type"), body)
	switch {
	case errors.Is(err, peers.ErrNoResponse):
		refuse(w, r, http.StatusGatewayTimeout, "node_unreachable", "The node has not responded within a second; it may still carry out the request")
	case err != nil:
		telemetry.AnswerProblem(w, r, problem.StoreFailure(a.log, "admin: cannot send a request to another node", err, "node", node))
	default:
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", answer.Type)
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body) // the client may have disconnected
	}
}
