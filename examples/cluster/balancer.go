package main

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

//go:embed page.html
var page []byte

// A balancer is the load balancer. It also serves the page. Requests go to the
// nodes in turn. Requests below /node/N/ go to node N, so that the page can
// open a socket at each node.
type balancer struct {
	cluster *cluster
	mux     *http.ServeMux
	next    atomic.Int64
}

func newBalancer(c *cluster) *balancer {
	b := &balancer{cluster: c, mux: http.NewServeMux()}
	b.mux.HandleFunc("GET /{$}", b.page)
	b.mux.HandleFunc("GET /nodes", b.nodes)
	b.mux.HandleFunc("POST /nodes/{n}/kill", b.kill)
	b.mux.HandleFunc("POST /nodes/{n}/start", b.start)
	b.mux.HandleFunc("/node/{n}/", b.toNode)
	b.mux.HandleFunc("/", b.toAny)
	return b
}

// ServeHTTP implements [http.Handler].
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.mux.ServeHTTP(w, r) }

func (b *balancer) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}

// nodes answers with the state of each node.
func (b *balancer) nodes(w http.ResponseWriter, _ *http.Request) {
	type state struct {
		Name  string `json:"name"`
		Alive bool   `json:"alive"`
	}
	var all []state
	for _, n := range b.cluster.nodes {
		all = append(all, state{n.name, n.alive()})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func (b *balancer) kill(w http.ResponseWriter, r *http.Request) {
	if n := b.node(w, r); n != nil {
		n.kill()
	}
}

func (b *balancer) start(w http.ResponseWriter, r *http.Request) {
	n := b.node(w, r)
	if n == nil || n.alive() {
		return
	}
	if err := b.cluster.startNode(r.Context(), n); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// node returns the node that r names. If there is none, it answers r and
// returns nil. It also refuses a POST from a page of another origin, so that no
// such page can kill a node.
func (b *balancer) node(w http.ResponseWriter, r *http.Request) *node {
	number, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || number < 1 || number > nodes {
		http.NotFound(w, r)
		return nil
	}
	if r.Method == http.MethodPost && http.NewCrossOriginProtection().Check(r) != nil {
		http.Error(w, "a page of another origin", http.StatusForbidden)
		return nil
	}
	return b.cluster.nodes[number-1]
}

// toNode forwards a request to the node that it names, without the prefix.
func (b *balancer) toNode(w http.ResponseWriter, r *http.Request) {
	n := b.node(w, r)
	if n == nil {
		return
	}
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/node/"+r.PathValue("n"))
	forward(w, r, n)
}

// toAny forwards a request to the next node that is alive.
func (b *balancer) toAny(w http.ResponseWriter, r *http.Request) {
	for range nodes {
		n := b.cluster.nodes[b.next.Add(1)%nodes]
		if n.alive() {
			forward(w, r, n)
			return
		}
	}
	http.Error(w, "no node is alive", http.StatusBadGateway)
}

// forward forwards a request, or a WebSocket, to a node. The node gets the Host
// that the browser sent, because it compares Origin with Host.
func forward(w http.ResponseWriter, r *http.Request, n *node) {
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: n.address})
			p.Out.Host = p.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, n.name+" does not answer", http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}
