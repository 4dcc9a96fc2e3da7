package wsframe

import (
	"encoding/binary"
	"math"
	"time"
)

// Limits for what a peer may send. They cannot be configured.
const (
	// MaxFragments is the usual limit of frames per message. A library that
	// collects them keeps a header, and often a slice, for each. One more
	// frame is allowed for every bytesOfFragment bytes of the message, so a
	// large message may consist of small frames, but a small message may not
	// consist of very many.
	MaxFragments    = 16384
	bytesOfFragment = 32

	// maxFrame is the maximum payload of a client's frame in bytes, regardless
	// of the configuration. Many servers do not accept longer frames.
	maxFrame = 2 << 30

	// controlEvery and controlBurst limit control frames to 100 at once and
	// 100 per second on average. Most require an answer, so a flood of them
	// costs the receiver more than the sender.
	controlEvery = time.Second / 100
	controlBurst = 100
)

// maxControl is the maximum payload of a control frame (RFC 6455 section 5.5).
const maxControl = 125

// Further bits and values of a frame's first byte.
const (
	rsv1     = 0x40
	rsv      = 0x70
	control  = 0x08 // of the opcode
	opBinary = 0x02
	opPong   = 0x0A
)

// A Fault is a violation of RFC 6455 or of a limit by a peer, with the code
// and reason of the close frame that reports it.
type Fault struct {
	Code   int
	Reason string // stable, for programs
	Limit  string // the configurable limit that was exceeded, or ""
}

// The faults found by a Checker.
var (
	ProtocolError = &Fault{1002, "protocol_error", ""}
	// Longer than any configuration allows.
	FrameTooLong     = &Fault{1009, "message_too_big", ""}
	FrameTooBig      = &Fault{1009, "message_too_big", "max_frame"}
	MessageTooBig    = &Fault{1009, "message_too_big", "max_message"}
	TooManyFragments = &Fault{1008, "too_many_fragments", "max_fragments"}
	TooManyControls  = &Fault{1008, "too_many_control_frames", ""}
)

// A Checker parses the headers of the frames that one peer sends, and finds
// violations of RFC 6455 section 5 and of configured limits. It stores no
// payload and allocates nothing. It only counts lengths down, so a false length
// does no harm.
//
// The only payload that it looks at is that of a close frame, which is short:
// its code must be one that may be sent, and its reason must be UTF-8. It is
// buffered if it arrives in parts. The receiver must check whether text
// messages are UTF-8.
type Checker struct {
	// Client means that the peer is a client: its frames must be masked and are
	// limited.
	Client bool
	// Deflate means that permessage-deflate was negotiated, so RSV1 may mark a
	// message (RFC 7692 section 6).
	Deflate   bool
	SkipPongs bool  // drop pongs that begin from now on; see Skip
	closed    bool  // a close frame has started
	inControl bool  // the current frame is a control frame
	skipping  bool  // the current frame is dropped
	pinged    bool  // a ping was forwarded
	skip      uint8 // result of Skip
	// Maximum payload of a client's frame in bytes; 0: no limit.
	MaxFrame int64
	// MaxMessage is the maximum size of a client's message in bytes, as sent,
	// that is, possibly compressed. 0: no limit.
	MaxMessage int64

	// MaxFragments is the maximum number of frames of a client's message. One
	// more is allowed for every 32 bytes of the message. 0: no limit.
	MaxFragments int

	left uint64 // remaining payload bytes of the current frame
	// Payload bytes of a client's current message so far.
	message uint64
	// Frames of the current message; 0: between messages.
	fragments int
	// When the last control frame would have arrived if all had arrived at the
	// permitted rate.
	controls     time.Duration
	messages     int64
	used         time.Duration // when bytes of a data frame last arrived
	closePayload *closePayload // close frame whose payload is incomplete
}

// Check consumes the next bytes of the stream. It returns how many of them may
// be forwarded: up to the last byte of payload, or up to the header of a frame
// that violates a rule. In that case it also returns the fault, and the Checker
// must not be used again. Without a fault, the bytes that may not be forwarded
// are the beginning of a header, at most MaxHead-1 bytes; the caller passes
// them again in front of the next bytes. If a close frame arrives in parts, all
// but the last are forwarded before it is checked.
//
// After a close frame, nothing is forwarded and nothing is a fault. now must
// be monotonic.
func (c *Checker) Check(p []byte, now time.Duration) (pass int, fault *Fault) {
	at := 0
	if c.skip = 0; c.skipping {
		c.skipPong(0, p)
		return 0, nil
	}
	for {
		n := min(c.left, uint64(len(p)-at))
		if c.closePayload != nil {
			if fault := c.closePayload.add(p[at : at+int(n)]); fault != nil {
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
			c.skipPong(size, head[size:])
			return at, nil
		}
		at += size
	}
}

// skipPong drops a pong: size bytes of its header, and the part of its payload
// that is in p.
func (c *Checker) skipPong(size int, p []byte) {
	n := min(c.left, uint64(len(p))) // at most maxControl
	c.left -= n
	c.skip = uint8(size) + uint8(n)
	c.skipping = c.left > 0
}

// Skip returns the number of bytes after the forwarded ones that belong to a
// dropped pong. If it is not 0, the caller removes these bytes and calls Check
// with the rest.
func (c *Checker) Skip() int { return int(c.skip) }

// Boundary reports whether the forwarded bytes end between two frames.
func (c *Checker) Boundary() bool { return c.left == 0 || c.skipping }

// Pinged reports whether a ping was forwarded.
func (c *Checker) Pinged() bool { return c.pinged }

// StartsWithPong reports whether a pong begins if first is the next byte.
func (c *Checker) StartsWithPong(first byte) bool { return c.left == 0 && first == fin|opPong }

// Closed reports whether the header of a close frame was forwarded.
func (c *Checker) Closed() bool { return c.closed }

// Used returns when bytes of a data frame were last forwarded, in the time of
// Check, or 0.
func (c *Checker) Used() time.Duration { return c.used }

// Messages returns the number of messages whose last frame has started.
func (c *Checker) Messages() int64 { return c.messages }

// Tracker returns a Tracker at the end of the forwarded bytes.
func (c *Checker) Tracker() Tracker {
	if c.skipping {
		return Tracker{close: c.closed}
	}
	return Tracker{left: c.left, close: c.closed}
}

// allowed checks the first two bytes of a header.
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

// begin starts the frame whose header is at the beginning of p and has passed
// allowed.
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

// close starts a close frame whose header is at the beginning of p and whose
// payload has n bytes. If the frame is complete, it is checked before any of
// it is forwarded.
func (c *Checker) close(p []byte, n int) *Fault {
	if n > 0 {
		size := headLen(p[1])
		f := closePayload{left: n}
		if c.Client {
			f.key = [4]byte(p[size-4:])
		}
		if len(p)-size < n {
			c.closePayload = &f
		} else if fault := f.add(p[size : size+n]); fault != nil {
			return fault
		}
	}
	c.closed = true
	return nil
}

// bounded checks the limits for a data frame with a payload of n bytes.
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

// mayControl counts a control frame and reports whether the rate limit permits
// it.
func (c *Checker) mayControl(now time.Duration) bool {
	c.controls = max(c.controls, now) + controlEvery
	return c.controls <= now+controlBurst*controlEvery
}

// payloadLen returns the payload length in the complete header at the
// beginning of p, and whether it is encoded in the minimal number of bytes
// (RFC 6455 section 5.2).
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
