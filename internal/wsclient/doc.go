// Package wsclient is a client of authenticated WebSockets for the terminal: what "wsauth connect" does, but for its flags.
//
// It logs in, gets a ticket, opens a socket, keeps the session alive as the browser module does, prints what comes, and says at the
// end what the close code means and what to do. It does not reconnect: it is there to show what a server does. Nothing that it
// prints holds a token, a ticket or a cookie of its own.
package wsclient
