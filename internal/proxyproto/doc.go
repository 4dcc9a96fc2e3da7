// Package proxyproto reads the header of the PROXY protocol, version 1 and 2,
// with which a proxy begins a connection to say whose connection it passes on
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//
// A server either requires the header or does not know it: where it is
// guessed, a client chooses its own address.
package proxyproto
