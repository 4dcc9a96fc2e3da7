// Package wsclient implements a command-line client for authenticated
// WebSockets. It is "wsauth connect" without the flags.
//
// It logs in, requests a ticket, opens a socket, renews the session as the
// browser module does, prints messages, and finally explains the close code
// and what to do. It does not reconnect, because its purpose is to show what a
// server does. Its output never contains a token, ticket or cookie of its own.
package wsclient
