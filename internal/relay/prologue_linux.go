package relay

import (
	"bytes"
	"errors"
	"net"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/proxyproto"
)

// A prologue is the header of the PROXY protocol, before the first byte of a
// client.
type prologue struct {
	conn    *eventloop.Conn
	within  time.Duration
	refused func(peer net.Addr, err error)
	got     []byte // of a header that did not come at once
}

// errTooMany closes the connection of a client that has too many.
var errTooMany = errors.New("the client has too many connections")

// take reads the header from data, and returns what follows it. done is false
// as long as the header is not complete. The rest may be data's own bytes.
func (p *prologue) take(data []byte) (rest []byte, done bool, err error) {
	if len(p.got) > 0 {
		p.got = append(p.got, data...) // a header has an end, and so has a read
		data = p.got
	}
	h, n, err := proxyproto.Parse(data)
	switch {
	case errors.Is(err, proxyproto.ErrIncomplete):
		if len(p.got) == 0 {
			p.got = bytes.Clone(data)
		}
		return nil, false, nil
	case err != nil:
		p.refuse(err)
		return nil, false, err
	}
	h.Peer = p.conn.RemoteAddr()
	if !p.conn.Introduce(&h) {
		return nil, false, errTooMany
	}
	return data[n:], true, nil
}

// refuse tells that the connection is closed.
func (p *prologue) refuse(err error) { p.refused(p.conn.RemoteAddr(), err) }
