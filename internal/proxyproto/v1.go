package proxyproto

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

const (
	beginV1    = "PROXY "
	shortestV1 = len("PROXY UNKNOWN\r\n")
)

// parseV1 parses a header of version 1, which is a line of text.
func parseV1(data []byte) (h Header, n int, err error) {
	if len(data) > 0 && !isPrefix(data, beginV1) {
		return Header{}, 0, errMalformed
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		if len(data) >= maxV1 {
			return Header{}, 0, fmt.Errorf("%w: its line is longer than %d bytes", errMalformed, maxV1)
		}
		if at := bytes.IndexByte(data, '\r'); at >= 0 && at < len(data)-1 {
			return Header{}, 0, fmt.Errorf("%w: a carriage return in its line", errMalformed)
		}
		return Header{}, 0, ErrIncomplete
	}
	line, ok := strings.CutSuffix(string(data[:end]), "\r")
	if !ok || end >= maxV1 || strings.Contains(line, "\r") || len(line) < len(beginV1) {
		return Header{}, 0, fmt.Errorf("%w: its line does not end with CRLF", errMalformed)
	}
	if h, err = parseLine(line[len(beginV1):]); err != nil {
		return Header{}, 0, err
	}
	return h, end + 1, nil
}

// parseLine parses the text after "PROXY ".
func parseLine(line string) (Header, error) {
	if line == "UNKNOWN" || strings.HasPrefix(line, "UNKNOWN ") {
		return Header{}, nil // the rest must be ignored
	}
	fields := strings.Split(line, " ")
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return Header{}, fmt.Errorf("%w: its line is not that of TCP4, TCP6 or UNKNOWN", errMalformed)
	}
	source, ok := parseAddr(fields[1], fields[3], fields[0] == "TCP4")
	destination, also := parseAddr(fields[2], fields[4], fields[0] == "TCP4")
	if !ok || !also {
		return Header{}, fmt.Errorf("%w: its addresses cannot be read", errMalformed)
	}
	return Header{Source: source, Destination: destination}, nil
}

// parseAddr parses an address and a port.
func parseAddr(address, port string, isIPv4 bool) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || addr.Is4() != isIPv4 {
		return netip.AddrPort{}, false
	}
	if port == "" || len(port) > 5 || port[0] == '0' && port != "0" {
		return netip.AddrPort{}, false
	}
	n := 0
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return netip.AddrPort{}, false
		}
		n = n*10 + int(c-'0')
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), n <= 0xffff //nolint:gosec // the second result says if it does not fit
}
