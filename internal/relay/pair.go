package relay

import (
	"net"
	"time"
)

// A Pair is two WebSockets whose handshakes are done.
//
// The callbacks are called from a goroutine of the relay, which carries other
// tunnels too: they must not block. They may call Tunnel.End.
type Pair struct {
	Client, Upstream         net.Conn // the relay's from Carry on
	FromClient, FromUpstream []byte   // already read from them, and to be relayed first
	Deflate                  bool     // permessage-deflate was agreed on

	// Bounds of what the client may send. The upstream is not bounded: it is
	// the operator's own.
	MaxFrame   int64 // bytes of payload of a frame; 0: no bound
	MaxMessage int64 // bytes of payload of a message, as they are sent; 0: no bound

	// MaxFragments bounds the frames of a message, beside one for every 32 bytes
	// of it. 0: no bound.
	MaxFragments int

	// Idle is how long neither side may send a byte of a data frame before the
	// client is at fault with 3008 idle_timeout. Control frames do not count.
	// 0: no limit.
	Idle time.Duration

	// Ping is how long the client may be silent before it gets a ping, and
	// between two pings. A client that is silent for three times as long, and
	// did not answer two of them, is at fault with 3008 idle_timeout. 0: no
	// pings. The answers reach the upstream, as pongs that nobody asked for,
	// which RFC 6455 section 5.5.3 allows, except while the client is behind
	// with what the upstream sends.
	Ping time.Duration

	// Stall is how long a side may take nothing while data waits for it. Then
	// it is cut. 0: 30 s.
	Stall time.Duration

	// Fault is called once when the client broke a rule or ran into a time
	// limit. From then on nothing of the client goes to the upstream, and the
	// owner is to call Tunnel.End with a close frame within Grace, from any
	// goroutine. limit is the key of the limit of the route that was passed, if
	// there is one. Nil: the tunnel ends by itself with that code and reason.
	Fault func(code int, reason, limit string)

	// Closed is called once, when both connections are closed.
	Closed func(Result)
}

// A Party is one that can end a tunnel.
type Party uint8

// The parties.
const (
	TheRelay    Party = iota // for silence, or because it was closed
	TheClient                // which left, broke a rule, or was lost
	TheUpstream              // likewise
	TheOwner                 // by Tunnel.End
)

func (p Party) String() string {
	return [...]string{"relay", "client", "upstream", "gateway"}[p&3]
}

// A Result is what came of a tunnel.
type Result struct {
	FromClient, FromUpstream Traffic // what was passed on
	By                       Party   // who ended it first

	// Reason says why: close (a close frame), eof, reset, stalled, ended (by
	// the owner), cut (by Relay.Close), bad_gateway (the upstream broke a
	// rule), or the reason of a fault.
	Reason string
}

// Traffic is what one side sent.
type Traffic struct {
	Bytes    int64 // heads of frames included
	Messages int64 // of text and of binary data
}

// A Tunnel is a Pair that is carried.
type Tunnel struct{ core }

// End says farewell to both sides. The client gets frame, an unmasked close
// frame which must not change any more, behind the frame that the upstream is
// sending, for which there is time of half of Grace. The upstream gets the
// same, masked; a frame of the client that has begun is cut off, and then the
// upstream gets the end of the stream alone. Nothing that the client sends from
// now on reaches it. Who has got a close frame already gets no second one.
//
// End returns at once. When the client's farewell is out, or can no longer be
// said, said is called; it may be nil. Only the first call does anything.
func (t *Tunnel) End(frame []byte, said func()) {
	if t.ended.CompareAndSwap(false, true) {
		t.driver.end(frame, said)
	}
}
