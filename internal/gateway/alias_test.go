package gateway

import "wsauth/internal/gateway/proxy"

type (
	Route       = proxy.Route
	RouteLimits = proxy.RouteLimits
	Health      = proxy.Health
	CORS        = proxy.CORS
)
