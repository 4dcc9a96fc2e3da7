package gateway

import (
	"net/http"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
)

// Operations returns a handler for the operators of the gateway. GET /metrics
// returns metrics in the formats of Prometheus. GET /livez answers 200 while
// the process runs. GET /readyz answers 200 if the gateway can admit clients,
// and 503 if it cannot: while it drains, and while its store cannot be read.
// If only writing to the store fails, the answer is "degraded" with 200:
// otherwise a single client that fills the store would make every node
// unready.
//
// Serve it on a listener that clients cannot reach. The gateway itself also
// answers /livez and /readyz, unless a route has exactly that path.
func (g *Gateway) Operations() http.Handler {
	return httpx.WithSecurityHeaders(g.recorder.Handler(g.healthChecks()))
}

// Ready returns nil if the gateway can admit clients, and otherwise an
// [*wsauth.Error] that says why it cannot. See [wsauth.Guard.Ready].
func (g *Gateway) Ready() error { return g.guard.Ready() }

// healthChecks returns the health checks of the gateway.
func (g *Gateway) healthChecks() telemetry.Health {
	return telemetry.Health{Ready: g.guard.Ready, Degraded: func() bool { return g.guard.Stats().Degraded }}
}

// state returns the state of the gateway, for metrics.
func (g *Gateway) state() telemetry.State {
	return telemetry.State{
		Upstreams: func(yield func(route string, healthy, all int)) {
			for _, r := range g.routes.States() {
				healthy := 0
				for _, u := range r.Upstreams {
					if u.Healthy {
						healthy++
					}
				}
				yield(r.Name, healthy, len(r.Upstreams))
			}
		},
		Guard: g.guard.Stats,
		Connections: func() (open, limit int, refused uint64) {
			limiter := g.front.Limiter()
			open, refused = limiter.Usage()
			return open, limiter.Limits().Connections, refused
		},
	}
}
