package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/nodelease"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// leases lists nodes as a store would.
type leases struct {
	mu    sync.Mutex
	nodes []nodelease.Node
}

// A lease implements Cluster.
type lease struct {
	all *leases
	id  string
}

func (l lease) ID() string { return l.id }

func (l lease) List(context.Context) ([]nodelease.Node, error) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	return slices.Clone(l.all.nodes), nil
}

// inCluster runs a test with synthetic time and three gateways, the nodes a, b
// and c, on one store and with the same keys. Only a serves operators.
func inCluster(t *testing.T, f func(t *testing.T, nodes [3]*rig, call func(method, target, body string) (status int, answer string))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shared, all := memory.New(store.Limits{}), new(leases)
		keys := must(token.NewKeySet(must(token.GenerateKey(token.HS256))))
		var nodes [3]*rig
		for i, name := range []string{"a", "b", "c"} {
			all.nodes = append(all.nodes, nodelease.Node{ID: name + "-1", Name: name, Version: "v1", Started: time.Now()})
			if _, err := shared.KeepNode(t.Context(), store.Node{ID: name + "-1"}, time.Hour); err != nil {
				t.Fatal(err)
			}
			l := wstest.NewPipes()
			nodes[i] = serve(t, l, "http://localhost", &http.Transport{DialContext: l.DialContext, IdleConnTimeout: 20 * time.Second}, []func(*Config){func(c *Config) {
				c.Store, c.Tokens.Keys, c.Cluster = shared, keys, lease{all, name + "-1"}
				c.Limits.PerSubject = 3
			}})
			nodes[i].awaitReady()
		}
		api := must(nodes[0].g.Admin(admin.Config{Version: "v1"}))
		f(t, nodes, func(method, target, body string) (int, string) {
			r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			api.Private().ServeHTTP(w, r)
			return w.Code, w.Body.String()
		})
	})
}

// TestClusterAnswers checks that a node answers operators for all nodes, even
// for those that serve no operators themselves.
func TestClusterAnswers(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes [3]*rig, call func(method, target, body string) (int, string)) {
		if status, answer := call("GET", "/v1/nodes", ""); status != 200 || strings.Count(answer, `"name":"`) != 3 || !strings.Contains(answer, `{"id":"a-1","name":"a","version":"v1","started":946684800,"this":true}`) {
			t.Errorf("nodes: %d %s", status, answer)
		}
		access, _ := nodes[0].Login()
		conns := []*websocket.Conn{nodes[0].openEcho(access), nodes[1].openEcho(access), nodes[1].openEcho(access)}
		for node, want := range map[string]int{"a": 1, "b": 2, "c-1": 0} {
			started := time.Now()
			status, answer := call("GET", "/v1/sockets?node="+node, "")
			if status != 200 || strings.Count(answer, `"sub":"test"`) != want || time.Since(started) != 0 {
				t.Errorf("%s: %d %s after %v, want %d sockets", node, status, answer, time.Since(started), want)
			}
		}
		if status, answer := call("POST", "/v1/drain?node=b", `{"within":2}`); status != 200 || answer != `{"within":2,"sockets":2}` {
			t.Errorf("drain: %d %s", status, answer)
		}
		for _, conn := range conns[1:] {
			nodes[1].WantClose(conn, 1012, "restarting")
		}
		if status, answer := call("GET", "/v1/status?node=b", ""); status != 200 || !strings.Contains(answer, `"reason":"restarting"`) {
			t.Errorf("status of b: %d %s", status, answer)
		}
		nodes[0].WantEcho(conns[0], "I live on")
		nodes[1].log.WaitFor(t, `msg="admin: draining" within=2s sockets=2 via=cluster node=a-1`)
		conn := nodes[2].openEcho(access)
		if status, answer := call("POST", "/v1/revoke", `{"user":"test"}`); status != 200 || !strings.Contains(answer, `"sockets":1`) {
			t.Errorf("revoke: %d %s", status, answer)
		}
		nodes[0].WantClose(conns[0], 3000, "session_ended")
		nodes[2].WantClose(conn, 3000, "session_ended")
	})
}

// TestClusterNodeStops checks that a node that has stopped, but still has its
// lease, is reported after a second.
func TestClusterNodeStops(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes [3]*rig, call func(method, target, body string) (int, string)) {
		nodes[2].stop()
		if err := <-nodes[2].served; err != nil {
			t.Fatal(err)
		}
		for node, want := range map[string]struct {
			status int
			reason string
			after  time.Duration
		}{"a": {200, `"ready":true`, 0}, "b": {200, `"ready":true`, 0}, "c": {504, `"reason":"node_unreachable"`, time.Second}} {
			started := time.Now()
			status, answer := call("GET", "/v1/status?node="+node, "")
			if after := time.Since(started); status != want.status || !strings.Contains(answer, want.reason) || after != want.after {
				t.Errorf("%s: %d %s after %v, want %+v", node, status, answer, after, want)
			}
		}
	})
}

// TestClusterLimits checks that a new socket ends the oldest one of its user on
// another node, and that no event loop waits for the store of the counts.
func TestClusterLimits(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes [3]*rig, _ func(method, target, body string) (int, string)) {
		access, _ := nodes[0].Login()
		var conns []*websocket.Conn
		for _, node := range []int{1, 0, 2, 2} {
			conns = append(conns, nodes[node].openEcho(access))
			time.Sleep(time.Second)
		}
		nodes[1].WantClose(conns[0], 3003, "connection_limit")
		for i, node := range []int{0, 2, 2} {
			nodes[node].WantEcho(conns[i+1], "I live on")
		}
		if isQuick(nodes[0].g, must(http.NewRequest(http.MethodGet, "http://localhost/ws", nil))) {
			t.Error("an event loop serves a handshake that waits for the store")
		}
	})
}

// TestClusterNeedsLog checks that a cluster needs a store that nodes can share.
func TestClusterNeedsLog(t *testing.T) {
	_, err := Config{
		Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: anyone},
		Cluster: lease{}, Store: struct{ store.Store }{memory.New(store.Limits{})},
	}.Check()
	if found, ok := errors.AsType[*fault.Fault](err); !ok || found.Field != "Cluster" {
		t.Errorf("error %v, want a fault of Cluster", err)
	}
}
