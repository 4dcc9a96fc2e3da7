// Package eventloop runs event loops over epoll, which handle stream sockets
// more cheaply than the net package.
//
// A [Group] is a fixed set of loops. Each [Loop] is one goroutine. It waits for
// events, calls the [Handler] of each socket that has an event, and runs the
// functions that other goroutines post to it. A Group also accepts clients
// ([Group.Accept]) and waits for the first bytes of a connection
// ([Group.Await]).
//
// A [Conn] is a TCP connection that a Group has accepted or [Dial] has opened.
// The net package registers every connection with the runtime's poller when it
// is opened, and removes it when it is closed. In between, its events wake a
// goroutine. For a connection that a loop takes over after its handshake, this
// would make up most of the cost. A Conn is registered only when a read or a
// write has to wait for the first time.
//
// A [Socket] is a socket that a loop has taken over from a connection.
//
// Functions that a loop calls must not block. Loops exist on Linux only. On
// other systems a Group has none, and Accept and Await report false.
package eventloop
