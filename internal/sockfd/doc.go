// Package sockfd has TCP connections whose reads and writes wait for nothing as long as they need not.
//
// A connection of the net package is made known to the runtime's poller when it is opened, which wakes a goroutine for it, and forgotten
// when it is closed: for a connection that is handed to an event loop as soon as its handshake is done, that is most of what it costs.
// One of this package is made known to it when somebody has to wait for the first time.
package sockfd
