// Package wsauth authenticates WebSocket connections for as long as they are
// open, and plain HTTP requests when they arrive.
//
// The WebSocket protocol has no authentication of its own, and a page that
// requires a login does not protect the sockets that it opens. A [Guard] wraps
// any [http.Handler], which may use any WebSocket library. It checks each
// request before the handler sees it. When the credential of a socket expires
// or is revoked, the guard closes the socket, with a close code and a reason
// that browsers can read. A server that reads handshakes itself, such as the
// gateway, calls [Guard.Check] and [Guard.Admit].
//
//	verifier, err := token.NewSecretVerifier(secret)
//	guard, err := wsauth.New(wsauth.Config{Verifier: verifier})
//	mux.Handle("/ws", guard.Require(wsauth.Access)(chat))
//
// A request passes through these steps, in these files:
//
//	serve.go        Require: check, admit, call the handler (context.go)
//	forwarded.go    find the client behind trusted proxies
//	check.go        Check: run the following steps in order
//	handshake.go    detect a WebSocket upgrade, and validate it
//	origin.go       check whether pages of this origin may open sockets
//	credential.go   extract the one credential of the request
//	                (header.go, cookies.go, query.go, pathvalue.go,
//	                subprotocol.go, ticket.go, firstmessage.go)
//	authorize.go    ask the application, also when a socket is renewed
//	admit.go        Admit: register the socket, check revocations again
//	                (registry.go, rings.go, anonymous.go, order.go, limits.go);
//	                if nodes share limits, count the socket in a store
//	                first (registryshared.go, sharedcounts.go, tally.go,
//	                countflush.go)
//	refusal.go      answer a refused request (refuseclose.go)
//
// The other files:
//
//	guard.go        makes guards, also with another policy for the same sockets
//	socket.go       an open socket, which ends once, with one cause
//	renew.go        replaces the token of an open socket
//	revoke.go       revokes tokens and ends their sockets
//	revocations.go  follows the log of revocations, and ends sockets when the
//	                guard has lost contact with it
//	pulse.go        notices that the process or its machine was suspended
//	shutdown.go     drains the guard: ends all sockets
//	follow.go       plain requests that Hold turns into sockets, or that end
//	                with their session
//	sockets.go      lists the open sockets (registries.go)
//	observer.go     the interface for metrics and audit logs
//	errors.go       the table of reasons, statuses and close codes
package wsauth
