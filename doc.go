// Package wsauth authenticates WebSocket connections for as long as they live,
// and the HTTP requests beside them when they come.
//
// The WebSocket protocol carries no authentication of its own, and a page
// behind a login does not hand its login to the sockets that it opens. A
// [Guard] wraps any [http.Handler], with any WebSocket library inside. It
// checks the request before the handler sees it, and it ends the socket, with
// a close code and a reason that a browser can read, when the right to it
// ends. A server that reads handshakes itself calls [Guard.Check] and
// [Guard.Admit].
//
// A request's way through the guard, and the files that hold the steps:
//
//	serve.go        Require: check, admit, call the handler (context.go)
//	forwarded.go    the client, if trusted proxies are in front
//	check.go        Check: the order of the steps that follow
//	handshake.go    is it a WebSocket upgrade, and a proper one?
//	origin.go       may pages of this origin open sockets here?
//	credential.go   exactly one location carries a token, once
//	                (header.go, cookies.go, query.go, pathvalue.go,
//	                subprotocol.go, ticket.go, firstmessage.go)
//	admit.go        Admit: register the socket, look at revocations again
//	                (registry.go, limits.go, order.go)
//	refusal.go      the answer to a request that is refused (refuseclose.go)
//	socket.go       an open socket; it ends once, with one cause
//	renew.go        a new token for an open socket
//	revoke.go       ends the sockets whose token was revoked
//	staleness.go    ends sockets when revocations are not known
//	shutdown.go     ends all sockets
//	hold.go         a plain request that counts as a socket
//	follow.go       a plain request that ends with its session
//	sockets.go      lists the open sockets
//	observer.go     who is told of refusals, and of sockets that open and end
//	derive.go       another policy over the same sockets
//	errors.go       the one table of reasons, statuses and close codes
package wsauth
