package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// Timeout is the time that a proxy has to send the header.
const Timeout = time.Second

// The maximum lengths of headers. Version 1 defines its own. Version 2 allows
// 64 KiB of values after the addresses, but headers longer than maxV2 are
// refused.
const (
	maxV1 = 107
	maxV2 = 4096
)

// A Header is the information from a proxy about a connection.
type Header struct {
	// Source is the address of the client. It is not valid if the proxy speaks
	// for itself (LOCAL), does not know the client, or the original connection
	// is not TCP. Then the peer is the client.
	Source netip.AddrPort

	// Destination is the address that the client connected to. It is valid if
	// Source is.
	Destination netip.AddrPort

	// TLS reports whether the client used TLS, which the proxy terminated.
	TLS bool

	// Peer is the other end of the connection. [Accept] sets it.
	Peer net.Addr
}

// Client returns the address of the client.
func (h *Header) Client() net.Addr {
	if h.Source.IsValid() {
		return net.TCPAddrFromAddrPort(h.Source)
	}
	return h.Peer
}

// errMalformed is wrapped by all errors about invalid headers.
var errMalformed = errors.New("this is not a PROXY header")

// ErrIncomplete means that the header has not been received completely.
var ErrIncomplete = errors.New("the PROXY header is not complete")

// Parse parses a header at the beginning of data and returns its length. If
// data is a prefix of a possible header, the error is [ErrIncomplete].
func Parse(data []byte) (h Header, n int, err error) {
	if isPrefix(data, signature) {
		return parseV2(data)
	}
	return parseV1(data)
}

// Read reads a header from r, and nothing beyond it.
func Read(r io.Reader) (Header, error) {
	var buffer [maxV2]byte
	data := buffer[:0]
	for {
		more := missing(data)
		n, err := io.ReadFull(r, buffer[len(data):len(data)+more])
		data = buffer[:len(data)+n]
		h, _, fault := Parse(data)
		if !errors.Is(fault, ErrIncomplete) {
			return h, fault // the header may be invalid before it is complete
		}
		if err != nil {
			return Header{}, err
		}
	}
}

// missing returns the least number of bytes that are missing from a header that
// begins with data. Parse must have returned ErrIncomplete for data. data and
// the result together never exceed the maximum length of a header.
func missing(data []byte) int {
	switch n := len(data); {
	case n > 0 && data[0] == signature[0]:
		return lengthV2(data) - n
	case n < shortestV1:
		return shortestV1 - n
	case data[n-1] == '\r':
		return 1
	}
	return min(len("\r\n"), maxV1-len(data))
}

// isPrefix reports whether data and all have a common prefix of the length of
// the shorter one.
func isPrefix(data []byte, all string) bool {
	n := min(len(data), len(all))
	return n > 0 && string(data[:n]) == all[:n]
}
