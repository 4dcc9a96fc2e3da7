// Package gateway is a server around a guard: it logs users in, renews and ends their sessions, and serves what the guard lets
// pass. In this form it is a demonstration: what it guards is an echo socket, and two pages show to a person what happens to
// that socket and why.
//
//	POST /auth/login     a name and a password for an access and a refresh token
//	POST /auth/refresh   a refresh token for a new access token
//	POST /auth/logout    ends the session: its tokens are refused, until the server restarts
//	GET  /auth/session   the claims of an access token
//	GET  /ws             the guarded echo socket
//	GET  /, /docs        the page, and the API as forms (described by /openapi.json)
//
// routes.go has the whole table; every other file holds one of its handlers or one of the layers around them.
package gateway
