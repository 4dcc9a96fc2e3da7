package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// Timeout is how long a proxy may take to send the header.
const Timeout = time.Second

// The longest headers that are read. Version 1 says how long its own may be.
// The addresses of version 2 are followed by values of any kind, of which
// there may be 64 KiB; what is more than this is refused.
const (
	maxV1 = 107
	maxV2 = 4096
)

// A Header is what a proxy says of a connection.
type Header struct {
	// Source is the client. It is not valid if the proxy speaks for itself
	// (LOCAL), or does not know, or the connection that it passes on is not
	// TCP: then the peer of the connection is the client.
	Source netip.AddrPort

	// Destination is what the client has connected to. It is valid if Source is.
	Destination netip.AddrPort

	// TLS says that the client has used TLS, which the proxy has ended.
	TLS bool

	// Peer is the other end of the connection. [Accept] fills it in.
	Peer net.Addr
}

// Client returns the address of the client.
func (h *Header) Client() net.Addr {
	if h.Source.IsValid() {
		return net.TCPAddrFromAddrPort(h.Source)
	}
	return h.Peer
}

// errMalformed is what every error wraps that says what is wrong with a
// header.
var errMalformed = errors.New("this is not a PROXY header")

// ErrIncomplete means that the header has not come as a whole.
var ErrIncomplete = errors.New("the PROXY header is not complete")

// Parse reads a header from the beginning of data, and returns its length. It
// returns [ErrIncomplete] if data may be the beginning of one.
func Parse(data []byte) (h Header, n int, err error) {
	if isPrefix(data, signature) {
		return parseV2(data)
	}
	return parseV1(data)
}

// Read reads a header from r, and nothing behind it.
func Read(r io.Reader) (Header, error) {
	var buffer [maxV2]byte
	data := buffer[:0]
	for {
		more := missing(data)
		n, err := io.ReadFull(r, buffer[len(data):len(data)+more])
		data = buffer[:len(data)+n]
		h, _, fault := Parse(data)
		if !errors.Is(fault, ErrIncomplete) {
			return h, fault // of what has come, which may be wrong already
		}
		if err != nil {
			return Header{}, err
		}
	}
}

// missing returns how many bytes a header that begins with data has more, at
// least. Parse must have returned ErrIncomplete for data, and the answer is
// never more than a header may be long.
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

// isPrefix reports whether data and all begin alike.
func isPrefix(data []byte, all string) bool {
	n := min(len(data), len(all))
	return n > 0 && string(data[:n]) == all[:n]
}
