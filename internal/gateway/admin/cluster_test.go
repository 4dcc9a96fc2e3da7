package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/peers"
	"wsauth/internal/nodelease"
)

// A fakeCluster passes requests to the nodes without a log.
type fakeCluster struct {
	nodes []nodelease.Node
	rigs  map[string]*rig // by ID; nodes without one do not respond
	err   error           // of List and Send, unless nil
}

// A member is a node of a fakeCluster.
type member struct {
	*fakeCluster
	id string
}

func (m member) ID() string { return m.id }

func (m member) List(context.Context) ([]nodelease.Node, error) {
	return slices.Clone(m.nodes), m.err
}

func (m member) Send(ctx context.Context, node, method, target, contentType string, body []byte) (peers.Response, error) {
	r := m.rigs[node]
	if r == nil {
		return peers.Response{}, peers.ErrNoResponse
	}
	request := httptest.NewRequestWithContext(context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(address(node))), method, target, strings.NewReader(string(body)))
	request.RemoteAddr = m.id
	request.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	r.api.Private().ServeHTTP(w, request)
	return peers.Response{Status: w.Code, Type: w.Header().Get("Content-Type"), Body: w.Body.Bytes()}, m.err
}

// An address is the local address of requests to a node.
type address string

func (address) Network() string  { return peers.Network }
func (a address) String() string { return string(a) }

// newCluster returns a cluster of the nodes a1, b1, c1 and c2. c1 and c2 have
// the same name and do not respond.
func newCluster(t *testing.T) *fakeCluster {
	t.Helper()
	f := &fakeCluster{rigs: map[string]*rig{}, nodes: []nodelease.Node{
		{ID: "c2", Name: "c", Started: time.Unix(4, 0)}, {ID: "b1", Name: "b", Version: "v2", Started: time.Unix(5, 0)}, {ID: "a1", Name: "a", Started: time.Unix(6, 0)}, {ID: "c1", Name: "c", Started: time.Unix(7, 0)},
	}}
	for _, id := range []string{"a1", "b1"} {
		f.rigs[id] = newRig(t, func(c *Config) { c.Cluster = member{f, id} })
	}
	return f
}

// TestNodes checks the list of nodes, which has this node even if its lease has
// ended.
func TestNodes(t *testing.T) {
	if got := get[adminapi.Nodes](newRig(t, func(c *Config) { c.Version = "v1" }), "/v1/nodes").Nodes; len(got) != 1 || !got[0].This || got[0].Version != "v1" || got[0].Started == 0 {
		t.Errorf("without a cluster: %+v", got)
	}
	f := newCluster(t)
	want := []adminapi.Node{{ID: "a1", Name: "a", Started: 6, This: true}, {ID: "b1", Name: "b", Version: "v2", Started: 5}, {ID: "c1", Name: "c", Started: 7}, {ID: "c2", Name: "c", Started: 4}}
	if got := get[adminapi.Nodes](f.rigs["a1"], "/v1/nodes").Nodes; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := get[adminapi.Nodes](f.rigs["a1"], "/v1/nodes?node=b").Nodes; len(got) != 4 || got[0].This || !got[1].This {
		t.Errorf("of b: %+v", got)
	}
	f.nodes = f.nodes[:1]
	if got := get[adminapi.Nodes](f.rigs["a1"], "/v1/nodes").Nodes; len(got) != 2 || got[0].ID != "a1" || !got[0].This || got[1].ID != "c2" {
		t.Errorf("after the lease has ended: %+v", got)
	}
}

// TestForward checks that each endpoint acts on the node that the query names,
// and only there.
func TestForward(t *testing.T) {
	f := newCluster(t)
	a, b := f.rigs["a1"], f.rigs["b1"]
	here, there := a.open(claims("ada", "s1", "t1")), b.open(claims("ada", "s1", "t1"))
	b.open(claims("bert", "s2", "t2"))
	for query, want := range map[string]int{"": 1, "?node=a": 1, "?node=a1": 1, "?node=b": 2, "?node=b1": 2, "?user=bert&node=b": 1, "?user=bert&node=a": 0, "?limit=1&node=b": 1} {
		if got := get[adminapi.Sockets](a, "/v1/sockets"+query).Sockets; len(got) != want {
			t.Errorf("%s: %d sockets, want %d", query, len(got), want)
		}
	}
	page := get[adminapi.Sockets](a, "/v1/sockets?limit=1&node=b")
	if got := get[adminapi.Sockets](a, "/v1/sockets?limit=1&node=b&after="+page.Next); len(got.Sockets) != 1 || got.Sockets[0].Sub != "bert" || got.Next != "" {
		t.Errorf("the second page is %+v", got)
	}
	var done adminapi.Revoked
	decode(t, a.call(http.MethodPost, "/v1/revoke?node=b", `{"token":"t1"}`, jsonType), &done)
	if done.Sockets != 1 || there.reason() != wsauth.TokenRevoked || here.reason() != "" {
		t.Errorf("ended %d sockets, with %q there and %q here", done.Sockets, there.reason(), here.reason())
	}
	if want := `msg="admin: revoked" target=token id=t1 sockets=1 via=cluster node=a1`; !strings.Contains(b.log.String(), want) || strings.Contains(a.log.String(), "revoked") {
		t.Errorf("the log of b is %q, want %q; that of a %q", &b.log, want, &a.log)
	}
	w := a.call(http.MethodPost, "/v1/drain?node=b", `{"within":1}`, jsonType)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), `{"within":1,`) || strings.Contains(a.log.String(), "draining") {
		t.Errorf("drain: %d %s; the log of a is %q", w.Code, w.Body, &a.log)
	}
}

// TestForwardRefusals checks the answers for requests that cannot be forwarded,
// none of which acts on this node instead.
func TestForwardRefusals(t *testing.T) {
	f := newCluster(t)
	a := f.rigs["a1"]
	open := a.open(claims("ada", "s1", "t1"))
	body := `{"token":"t1"}`
	for _, tt := range []struct {
		query, body string
		status      int
		want        string
	}{
		{"?node=d", body, 404, "No node has this name or ID"},
		{"?node=c", body, 400, "Several nodes have this name"},
		{"?node=c1", body, 504, `"reason":"node_unreachable"`},
		{"?node=", body, 400, "node must occur once"},
		{"?node=a&node=b", body, 400, "node must occur once"},
		{"?node=b;a", body, 400, "malformed"},
		{"?Node=b", body, 400, "No query is allowed"},
		{"?node=b&x=y", body, 400, "No query is allowed"},
		{"?node=a&x=y", body, 400, "No query is allowed"},
		{"?node=b", `{"token":1}`, 422, "token must be a string"},
		{"?node=b", `{"token":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "64 KiB"},
	} {
		w := a.call(http.MethodPost, "/v1/revoke"+tt.query, tt.body, jsonType)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v, want %d %q", tt.query, w.Code, w.Body, w.Header(), tt.status, tt.want)
		}
	}
	if open.reason() != "" {
		t.Error("revoked on this node")
	}
	if got, err := (member{f, "b1"}).Send(t.Context(), "a1", http.MethodGet, "/v1/status?node=b1", "", nil); err != nil || got.Status != 400 || !strings.Contains(string(got.Body), "is not forwarded") {
		t.Errorf("a request that was forwarded before: %d %s, %v", got.Status, got.Body, err)
	}
	port := newRig(t, withToken(t, rand.Text()+rand.Text()), func(c *Config) { c.Cluster = member{f, "d1"} }).api.port
	for _, header := range []string{"X: y", "Authorization: Bearer x", "Origin: http://localhost"} {
		if w := call(port, http.MethodPost, "/v1/drain?node=b", `{}`, jsonType, header); w.Code != 401 && w.Code != 403 || strings.Contains(f.rigs["b1"].log.String(), "draining") {
			t.Errorf("on the port, with %s: %d %s", header, w.Code, w.Body)
		}
	}
	f.err = errors.New("no disk")
	for _, target := range []string{"/v1/nodes", "/v1/status?node=b"} {
		if w := a.call(http.MethodGet, target, ""); w.Code != 503 || !strings.Contains(w.Body.String(), "store_unavailable") || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := newRig(t).call(http.MethodGet, "/v1/status?node=a", ""); w.Code != 404 {
		t.Errorf("without a cluster: %d %s", w.Code, w.Body)
	}
}
