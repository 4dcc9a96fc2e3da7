package wsconn

import (
	"bytes"
	"strings"
)

// maxHeldHead is how much of a response's head is held back while its end is
// awaited. A longer one is sent as it is.
const maxHeldHead = 16 << 10

// A choice adds the subprotocol to a 101 that selects none. It holds the head
// of the response back until it is whole: whether the handler selects one is
// known only then.
type choice struct {
	subprotocol string
	held        []byte
}

// ChooseSubprotocol selects a subprotocol for a handler that opens the socket
// and selects none. A browser fails a socket whose answer selects nothing of
// what was offered. It is called before the handler has the connection.
func (c *Conn) ChooseSubprotocol(name string) { c.choice = &choice{subprotocol: name} }

// decide returns what is to be sent now that the handler sends p, and whether
// the head has passed with it.
func (c *choice) decide(p []byte) (out []byte, passed bool) {
	c.held = append(c.held, p...)
	end := bytes.Index(c.held, []byte(headEnd))
	if end < 0 {
		if len(c.held) <= maxHeldHead {
			return nil, false
		}
		return c.held, true
	}
	head := string(c.held[:end])
	if !strings.HasPrefix(head, switching) || selectsSubprotocol(head) {
		return c.held, true
	}
	out = append(out, head...)
	out = append(out, "\r\nSec-WebSocket-Protocol: "+c.subprotocol...)
	return append(out, c.held[end:]...), true
}

// selectsSubprotocol reports whether the head of a response has the field.
func selectsSubprotocol(head string) bool {
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Sec-WebSocket-Protocol") {
			return true
		}
	}
	return false
}
