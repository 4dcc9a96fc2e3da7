// Package proxy serves the routes of the gateway: it chooses the route of a
// request, guards it, and passes requests and sockets on to its upstreams. It
// knows nothing about listeners, logins or the other endpoints of the gateway,
// and calls them only through the functions in [Config].
//
// A request passes these steps, in the files that implement them:
//
//	match.go        chooses the gateway's own endpoints or a route (routes.go,
//	                router.go), and says whether an event loop may serve it
//	corsserve.go    applies the CORS policy (corspolicy.go)
//	plainpath.go    refuses paths that servers could read differently,
//	                unless all readings lead to the same route (readings.go)
//	proxy.go        guards the route, by the rule in authorize.go
//	credentials.go  removes the gateway's own credentials (owntokens.go)
//	identity.go     writes the headers that name the user
//	socket.go       admits a WebSocket, and connects client and upstream
//	opening.go      makes the handshake with the upstream, and ends it if the
//	                client disconnects (hangup.go)
//	introduce.go    makes it later if the token comes in the first message
//	plain.go        passes on all other requests
//
// route.go, cors.go and checkroutes.go contain the configuration.
package proxy
