// Package gateway is a server around a guard: it logs users in, renews and ends their sessions, and stands in front of servers that know
// nothing of authentication ([Config].Routes). Without routes it is a demonstration: what it guards then is an echo socket, and two pages
// show to a person what happens to that socket and why.
//
// A request's way, and the files that hold the steps:
//
//	clientconn.go  may the client connect? Does a proxy name another?
//	entrance.go    does it come first on its connection, and is it a handshake (handshake.go)? That goes past net/http
//	clients.go     whose is it, where trusted proxies are in front?
//	quick.go       can nothing of it take long? That never leaves the event loop
//	record.go      what becomes of it is noted, for metrics.go and accesslog.go
//	corsserve.go   may pages of other origins read it (corspolicy.go)?
//	limit.go       how long may its head be?
//	operations.go  does somebody ask how the gateway is?
//	plainpath.go   is its path read in one way only, by everybody?
//	readings.go    or in each way as one of the same route?
//	routing.go     is it for the gateway itself (endpoints.go), or for which route (router.go)?
//	proxy.go       the guard of the route, with authorize.go
//	credentials.go what is good at the gateway is taken out (owntokens.go)
//	identity.go    who the client is, for the upstream
//	socket.go      a WebSocket: what the upstream is told, and how both are tied together
//	opening.go     the upstream is asked, as long as the client is there (hangup.go)
//	introduce.go   the same for one whose token comes in its first message
//	plain.go       any other request
//
// Operators have an API of their own (admin.go), on an address that the public does not reach.
//
// Users log in at the endpoints of package login, which logins.go mounts below
// [Config].AuthPrefix. endpoints.go has the table of all that the gateway
// answers itself:
//
//	/auth/...               log in, refresh, log out, tickets and sessions
//	/.well-known/jwks.json  the public keys, for others who verify the tokens
//	/ws                     the guarded echo socket of the demonstration
//	/, /docs                its page, and the API as forms (/openapi.json)
package gateway
