// Package eventloop has TCP connections that are not registered with the
// runtime's poller until a read or a write has to wait.
//
// A connection of the net package is registered when it is opened, which wakes
// a goroutine, and removed when it is closed. For a connection that is handed
// to an event loop as soon as its handshake is done, that is most of its cost.
package eventloop
