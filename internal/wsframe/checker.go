package wsframe

import (
	"encoding/binary"
	"math"
	"time"
)

// Bounds of what one peer may send that are not configured.
const (
	// MaxFragments is the usual bound of the frames that one message may come
	// in. A library that collects them keeps a head, and often a slice, for
	// each. One more frame is allowed for every bytesOfFragment bytes of the
	// message, so that a large message may come in small frames, and a small
	// one may not come in very many.
	MaxFragments    = 16384
	bytesOfFragment = 32

	// maxFrame is the longest payload of a client's frame, whatever is
	// configured. Many servers cannot take a longer one.
	maxFrame = 2 << 30

	// controlEvery and controlBurst bound control frames: a hundred at once,
	// and a hundred a second in the long run. Each wants an answer, so that a
	// flood of them costs the other side more than the sender.
	controlEvery = time.Second / 100
	controlBurst = 100
)

// maxControl is the longest payload of a control frame (RFC 6455 section 5.5).
const maxControl = 125

// More bits of a frame's first byte.
const (
	rsv1     = 0x40
	rsv      = 0x70
	control  = 0x08 // of the opcode
	opBinary = 0x02
	opPong   = 0x0A
)

// A Checker reads the heads of the frames that one peer sends and finds where
// they break the rules of RFC 6455 section 5, or the bounds it is given. It
// keeps no payload, allocates nothing, and believes no length: a length is
// only counted down.
//
// Of payload only that of a close frame is looked at, which is short and the
// last: its code must be one that may be sent, and its reason UTF-8. It alone
// is kept, where it comes in pieces. Whether a text is UTF-8 is left to whoever
// gets it.
type Checker struct {
	Client     bool  // the peer is a client: its frames are masked, and bounded
	Deflate    bool  // permessage-deflate was agreed: RSV1 may mark a message (RFC 7692 section 6)
	SkipPongs  bool  // pongs that begin now are left out, see Skip
	closed     bool  // a close frame has begun
	inControl  bool  // the current frame is a control frame
	skipping   bool  // the current frame is left out
	pinged     bool  // a ping was passed on
	skip       uint8 // see Skip
	MaxFrame   int64 // the longest payload of a client's frame in bytes; 0: no bound
	MaxMessage int64 // the longest sum of payloads of a client's message in bytes, as sent; 0: no bound

	// MaxFragments bounds the frames of a client's message, beside one for every
	// 32 bytes of it. 0: no bound.
	MaxFragments int

	left      uint64        // payload bytes of the current frame still to come
	message   uint64        // payload bytes of the current message of a client so far
	fragments int           // frames of the current message; 0: between two messages
	controls  time.Duration // when the last control frame would have come, had they come as seldom as they may
	messages  int64
	used      time.Duration // when bytes of a data frame last came
	farewell  *farewell     // a close frame whose payload is not all there yet
}

// Check takes the next bytes of the stream. It returns how many of them may be
// passed on: all up to the last byte of payload, or to the head of a frame that
// breaks a rule, with the fault, after which the Checker is of no more use. Of
// a close frame that comes in pieces, those pass that come before the last.
// The bytes behind them are the beginning of a head, at most MaxHead-1 bytes, and
// are to be put in front of the next ones.
//
// Behind a close frame nothing is passed, and nothing is a fault. The time is
// any that never goes back.
func (c *Checker) Check(p []byte, now time.Duration) (pass int, fault *Fault) {
	at := 0
	if c.skip = 0; c.skipping {
		c.leave(0, p)
		return 0, nil
	}
	for {
		n := min(c.left, uint64(len(p)-at))
		if c.farewell != nil {
			if fault := c.farewell.add(p[at : at+int(n)]); fault != nil {
				return at, fault
			}
		}
		if n > 0 && !c.inControl {
			c.used = now
		}
		at += int(n)
		c.left -= n
		if c.left > 0 || c.closed || len(p)-at < 2 {
			return at, nil
		}
		head := p[at:]
		if !c.allowed(head[0], head[1]) {
			return at, ProtocolError
		}
		size := headLen(head[1])
		if len(head) < size {
			return at, nil
		}
		if fault := c.begin(head, now); fault != nil {
			return at, fault
		}
		if c.SkipPongs && head[0]&opcode == opPong {
			c.leave(size, head[size:])
			return at, nil
		}
		at += size
	}
}

// leave leaves out a pong: size bytes of its head, and what there is of its
// payload at the beginning of p.
func (c *Checker) leave(size int, p []byte) {
	n := min(c.left, uint64(len(p))) // at most maxControl
	c.left -= n
	c.skip = uint8(size) + uint8(n)
	c.skipping = c.left > 0
}

// Skip returns how many bytes behind those that may be passed on belong to a
// pong that is left out. If there are any, the caller removes them and calls
// Check with what follows.
func (c *Checker) Skip() int { return int(c.skip) }

// Boundary reports whether what was passed on ends between two frames.
func (c *Checker) Boundary() bool { return c.left == 0 || c.skipping }

// Pinged reports whether a ping was passed on.
func (c *Checker) Pinged() bool { return c.pinged }

// StartsWithPong reports whether the byte that comes next begins a pong, if it
// is first.
func (c *Checker) StartsWithPong(first byte) bool { return c.left == 0 && first == fin|opPong }

// Closed reports whether the head of a close frame was passed on.
func (c *Checker) Closed() bool { return c.closed }

// Used returns when bytes of a data frame were last passed on, in the time of
// Check; 0 if none were.
func (c *Checker) Used() time.Duration { return c.used }

// Messages is how many messages were passed on, to the head of their last
// frame.
func (c *Checker) Messages() int64 { return c.messages }

// Tracker is a Tracker that stands where what was passed on ends.
func (c *Checker) Tracker() Tracker {
	if c.skipping {
		return Tracker{close: c.closed}
	}
	return Tracker{left: c.left, close: c.closed}
}

// allowed judges what the first two bytes of a head tell.
func (c *Checker) allowed(first, second byte) bool {
	op := first & opcode
	if second&masked != 0 != c.Client {
		return false
	}
	if op&control != 0 {
		short := second & length
		return op <= opPong && first&(fin|rsv) == fin && short <= maxControl && (op != opClose || short != 1)
	}
	if op > opBinary || op == 0 != (c.fragments > 0) {
		return false
	}
	reserved := first & rsv
	return reserved == 0 || reserved == rsv1 && c.Deflate && op != 0
}

// begin starts the frame whose head is at the beginning of p, of which allowed
// thinks well.
func (c *Checker) begin(p []byte, now time.Duration) *Fault {
	n, minimal := payloadLen(p)
	if !minimal || n > math.MaxInt64 {
		return ProtocolError
	}
	if p[0]&control != 0 {
		if c.Client && !c.mayControl(now) {
			return TooManyControls
		}
		if p[0]&opcode == opClose {
			if fault := c.close(p, int(n)); fault != nil {
				return fault
			}
		}
		c.left, c.inControl = n, true
		c.pinged = c.pinged || p[0]&opcode == opPing
		return nil
	}
	if c.Client {
		if fault := c.bounded(n); fault != nil {
			return fault
		}
	}
	c.left, c.inControl, c.used = n, false, now
	c.fragments++
	if p[0]&fin != 0 {
		c.fragments, c.message = 0, 0
		c.messages++
	}
	return nil
}

// close takes a close frame whose head is at the beginning of p, and whose
// payload is n bytes long. One that is all there is judged before any of it
// passes.
func (c *Checker) close(p []byte, n int) *Fault {
	if n > 0 {
		size := headLen(p[1])
		f := farewell{left: n}
		if c.Client {
			f.key = [4]byte(p[size-4:])
		}
		if len(p)-size < n {
			c.farewell = &f
		} else if fault := f.add(p[size : size+n]); fault != nil {
			return fault
		}
	}
	c.closed = true
	return nil
}

// bounded judges a data frame whose payload is n bytes long.
func (c *Checker) bounded(n uint64) *Fault {
	if n > maxFrame {
		return FrameTooLong
	}
	c.message += n
	if c.MaxMessage > 0 && c.message > uint64(c.MaxMessage) {
		return MessageTooBig
	}
	if c.MaxFrame > 0 && n > uint64(c.MaxFrame) {
		return FrameTooBig
	}
	if c.MaxFragments > 0 && uint64(c.fragments) >= uint64(c.MaxFragments)+c.message/bytesOfFragment {
		return TooManyFragments
	}
	return nil
}

// mayControl counts a control frame.
func (c *Checker) mayControl(now time.Duration) bool {
	c.controls = max(c.controls, now) + controlEvery
	return c.controls <= now+controlBurst*controlEvery
}

// payloadLen is the length in the complete head at the beginning of p, and
// whether it is written in as few bytes as it may be (RFC 6455 section 5.2).
func payloadLen(p []byte) (n uint64, minimal bool) {
	switch l := p[1] & length; l {
	case length16:
		n = uint64(binary.BigEndian.Uint16(p[2:]))
		return n, n >= length16
	case length64:
		n = binary.BigEndian.Uint64(p[2:])
		return n, n > math.MaxUint16
	default:
		return uint64(l), true
	}
}
