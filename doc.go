// Package wsauth authenticates WebSocket connections for as long as they live,
// and the HTTP requests beside them when they come.
//
// The WebSocket protocol carries no authentication of its own, and a page
// behind a login does not hand its login to the sockets that it opens. A
// [Guard] wraps any [http.Handler], with any WebSocket library inside. It
// checks the request before the handler sees it, and it ends the socket, with
// a close code and a reason that a browser can read, when the right to it
// ends.
//
// A request's way through the guard, and the files that hold the steps:
//
//	forwarded.go    whose is it, where trusted proxies are in front?
//	handshake.go    is it a WebSocket upgrade, and a proper one?
//	origin.go       may pages of this origin open sockets here?
//	credential.go   exactly one location carries a token, once
//	                (header.go, cookies.go, query.go, pathvalue.go,
//	                subprotocol.go, ticket.go, firstmessage.go)
//	check.go        signature, time, revocation, requirement, CSRF, the
//	                caller's own rule
//	upgrade.go      take the connection, start the session
//	admit.go        let the socket in (registry.go, limits.go)
//	socket.go       what the handler holds; its end has one cause
//	hold.go         the same for an HTTP answer that does not end by itself
//	follow.go       the same for a plain request that takes long
//	renew.go        a new token for an open socket
//	revoke.go       the end of sockets whose token was taken back
//	staleness.go    what happens when nobody can tell, and after a pause
//	shutdown.go     the end of all of them
//	refusal.go      every refusal leaves here (refuseclose.go)
//	observer.go     who is told of refusals, begins and ends
//	sockets.go      lists the open sockets (order.go)
//	derive.go       another policy over the same sockets
//	errors.go       the one table of reasons, statuses and close codes
package wsauth
