// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2,
// which a proxy sends at the beginning of a connection to name its client
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//
// A server must either require the header or never accept it: if the header
// were optional, clients could choose their own address.
package proxyproto
