package wsconn

import (
	"bytes"
	"strings"
)

// maxHeldHead is the maximum length of a response header that is buffered. A
// longer header is sent unchanged.
const maxHeldHead = 16 << 10

// A choice adds a subprotocol to a 101 response that selects none. It buffers
// the response header until it is complete, because only then is it known
// whether the handler selects one.
type choice struct {
	subprotocol string
	held        []byte
}

// ChooseSubprotocol sets the subprotocol to select if the handler opens the
// socket without selecting one. A browser fails the connection if none of the
// offered subprotocols is selected. ChooseSubprotocol must be called before the
// handler uses the connection.
func (c *Conn) ChooseSubprotocol(name string) { c.choice = &choice{subprotocol: name} }

// decide returns what to send when the handler sends p, and whether the header
// is complete.
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

// selectsSubprotocol reports whether a response header selects a subprotocol.
func selectsSubprotocol(head string) bool {
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Sec-WebSocket-Protocol") {
			return true
		}
	}
	return false
}
