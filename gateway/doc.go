// Package gateway implements a server around a guard. It logs users in, renews
// and ends their sessions, and authenticates the clients of upstreams, which
// need no code for that ([Config].Routes). Without routes it serves a
// demonstration: a guarded echo socket, and two pages that show what happens
// to it and why.
//
// A request passes these steps, in the files that implement them:
//
//	serve.go       runs the following steps, and records the outcome (package
//	               telemetry); package front has accepted the connection, read
//	               the request and determined the client
//	match.go       chooses the gateway's own endpoints (endpoints.go) or a
//	               route (routes.go, router.go), and says whether an event
//	               loop may serve it
//	corsserve.go   applies the CORS policy (corspolicy.go)
//	limit.go       limits the length of the head
//	operations.go  answers health checks
//	plainpath.go   refuses paths that servers could read differently
//	readings.go    unless all readings lead to the same route
//	proxy.go       guards the route, by the rule in authorize.go
//	credentials.go removes the gateway's own credentials (owntokens.go)
//	identity.go    writes the headers that name the user
//	socket.go      admits a WebSocket, and ties client and upstream together
//	opening.go     sends the upstream its handshake while the client waits
//	               (hangup.go)
//	introduce.go   does so if the token comes in the first message
//	plain.go       passes on all other requests
//
// The API for operators (admin.go) is separate, and must be served on an
// address that the public cannot reach.
//
// Users log in at the endpoints of package login, which logins.go mounts below
// [Config].AuthPrefix. endpoints.go has the table of all endpoints that the
// gateway answers itself:
//
//	/auth/...               log in, refresh, log out, tickets and sessions
//	/.well-known/jwks.json  the public keys, for others who verify the tokens
//	/ws                     the guarded echo socket of the demonstration
//	/, /docs                its page, and the API as forms (/openapi.json)
package gateway
