package gateway

import (
	"net/netip"
	"strings"
	"unicode"
)

// printable makes a client's text fit for one line of a log: what cannot be seen is replaced, and it is cut.
func printable(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return visible(s)
}

// visible replaces what cannot be seen, and what is not UTF-8.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// host is the address of a client without its port, which tells a person nothing.
func host(remoteAddr string) string {
	if a, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return a.Addr().Unmap().String()
	}
	return visible(remoteAddr)
}
