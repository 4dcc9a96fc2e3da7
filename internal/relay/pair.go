package relay

import (
	"net"
	"time"
)

// A Pair is two WebSocket connections whose handshakes are done.
//
// The callbacks run on a goroutine of the relay that carries other tunnels too,
// so they must not block. They may call Tunnel.End.
type Pair struct {
	Client, Upstream         net.Conn // owned by the relay once passed to Carry
	FromClient, FromUpstream []byte   // already read from them; relayed first
	Deflate                  bool     // permessage-deflate was negotiated

	// Limits of what the client may send. The upstream has none, because it
	// belongs to the operator.
	MaxFrame   int64 // payload bytes of a frame; 0: no limit
	MaxMessage int64 // payload bytes of a message, before decompression; 0: no limit

	// MaxFragments limits the frames of a message. One more is allowed for every
	// 32 bytes of the message. 0: no limit.
	MaxFragments int

	// Idle is how long both sides may go without sending a byte of a data frame
	// before the relay reports the fault 3008 idle_timeout. Control frames do
	// not count. 0: no limit.
	Idle time.Duration

	// Ping is how long the client may be silent before it gets a ping, and the
	// time between two pings. A client that is silent for three times Ping, and
	// so has left two pings unanswered, is at fault with 3008 idle_timeout. 0:
	// no pings. The upstream gets the answers as unsolicited pongs (allowed by
	// RFC 6455 section 5.5.3), except while the client is behind with what the
	// upstream sends.
	Ping time.Duration

	// Stall is how long a side may take no bytes while data waits for it. After
	// that, the relay cuts it. 0: 30 s.
	Stall time.Duration

	// Fault is called once when the client breaks a rule or exceeds a time limit.
	// From then on nothing from the client reaches the upstream, and the owner must
	// call Tunnel.End with a close frame within Grace, from any goroutine. limit is
	// the key of the route's limit that was exceeded, or "". If Fault is nil, the
	// relay ends the tunnel with that code and reason.
	Fault func(code int, reason, limit string)

	// Closed is called once, when both connections are closed.
	Closed func(Result)
}

// A Party is a participant that can end a tunnel.
type Party uint8

// The parties.
const (
	TheRelay    Party = iota // the tunnel was idle, or the relay was closed
	TheClient                // it closed, broke a rule, or was lost
	TheUpstream              // likewise
	TheOwner                 // called Tunnel.End
)

func (p Party) String() string {
	return [...]string{"relay", "client", "upstream", "gateway"}[p&3]
}

// A Result describes a tunnel that has ended.
type Result struct {
	FromClient, FromUpstream Traffic // what the relay passed on
	By                       Party   // the party that ended it first

	// Reason says why: close (a close frame), eof, reset, stalled, ended (by
	// the owner), cut (by Relay.Close), bad_gateway (the upstream broke a
	// rule), or the reason of a fault.
	Reason string
}

// Traffic counts what one side sent.
type Traffic struct {
	Bytes    int64 // including the heads of frames
	Messages int64 // text and binary
}

// A Tunnel is a Pair that a Relay carries.
type Tunnel struct{ core }

// End closes the tunnel with frame, an unmasked close frame that must not be
// modified afterwards. The client gets it after the upstream's current frame,
// which has half of Grace to finish. The upstream gets it masked. If the
// client's current frame is incomplete, the relay cuts that frame off, and the
// upstream gets only the end of the stream. Nothing that the client sends from
// now on reaches the upstream. A side that already got a close frame gets no
// second one.
//
// End does not block. It calls sent, which may be nil, when the client's close
// frame was written or can no longer be. Only the first call does anything.
func (t *Tunnel) End(frame []byte, sent func()) {
	if t.endCalled.CompareAndSwap(false, true) {
		t.driver.end(frame, sent)
	}
}
