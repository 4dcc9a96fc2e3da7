// Package gateway implements a server around a guard. It logs users in, renews
// and ends their sessions, and authenticates the clients of upstreams, which
// need no code for that ([Config].Routes). Without routes it serves a
// demonstration: a guarded echo socket, and two pages that show what happens
// to it and why.
//
// It assembles packages that do not know each other: front accepts clients
// and reads their requests, proxy serves routes, and telemetry records what
// happens. serve.go has the steps of a request:
//
//	front          accept the connection, read the request, determine its client
//	proxy          match the request with the routes, apply their CORS policy
//	serve.go       limit the length of the head
//	operations.go  answer health checks
//	front          admit the request to its connection
//	endpoints.go   answer the request, if the path is the gateway's own
//	proxy          or guard its route, and pass the request on to an upstream
//
// [Gateway.Admin] returns the API for operators, package admin, which is served
// where the public cannot reach it.
//
// Users log in at the endpoints of package login, which logins.go mounts below
// [Config].Login.Prefix. endpoints.go has the table of all endpoints that the
// gateway answers itself:
//
//	/auth/...               log in, refresh, log out, tickets and sessions
//	/.well-known/jwks.json  the public keys, for others who verify the tokens
//	/ws                     the guarded echo socket of the demonstration
//	/, /docs                its page, and the API as forms (/openapi.json)
package gateway
