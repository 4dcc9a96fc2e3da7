package gateway

import (
	"net/netip"

	"wsauth/internal/logtext"
)

// printable makes a client's text fit for one line of a log: what cannot be seen is replaced, and it is cut.
func printable(s string) string { return logtext.Short(s) }

// visible replaces what cannot be seen, and what is not UTF-8.
func visible(s string) string { return logtext.Visible(s) }

// host is the address of a client without its port, which tells a person nothing.
func host(remoteAddr string) string {
	if a, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return a.Addr().Unmap().String()
	}
	return visible(remoteAddr)
}
