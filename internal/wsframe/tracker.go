package wsframe

// Bits and opcodes of a frame's first two bytes (RFC 6455 section 5.2).
const (
	fin     = 0x80
	opcode  = 0x0F
	opClose = 0x08
	masked  = 0x80
	length  = 0x7F

	length16 = 126
	length64 = 127
)

// MaxHead is the longest frame head in bytes: two, a length of eight and a
// masking key of four.
const MaxHead = 14

// A Tracker follows a stream of frames and knows, at each byte, whether it
// stands between two of them. It reads heads only and keeps no payload. The
// zero Tracker stands before the first frame.
type Tracker struct {
	left  uint64        // payload bytes of the current frame still to come
	head  [MaxHead]byte // the head of the current frame as far as it has come
	nhead uint8
	close bool
}

// Boundary reports whether the stream stands between two frames.
func (t *Tracker) Boundary() bool { return t.nhead == 0 && t.left == 0 }

// Closed reports whether a close frame has begun: nothing may follow it
// (RFC 6455 section 5.5.1).
func (t *Tracker) Closed() bool { return t.close }

// Advance takes the next bytes of the stream, all of them.
func (t *Tracker) Advance(p []byte) {
	for len(p) > 0 {
		p = p[t.step(p):]
	}
}

// ToBoundary returns how many bytes of p belong to the frame that the stream
// stands in: 0 at a boundary, len(p) and false where the frame goes on after
// p. The Tracker does not move.
func (t *Tracker) ToBoundary(p []byte) (n int, ok bool) {
	ahead := *t
	for !ahead.Boundary() && n < len(p) {
		n += ahead.step(p[n:])
	}
	return n, ahead.Boundary()
}

// step takes at most the rest of one frame's head or payload from p, which is
// not empty, and returns how much it took.
func (t *Tracker) step(p []byte) int {
	if t.left > 0 {
		n := min(t.left, uint64(len(p)))
		t.left -= n
		return int(n)
	}
	taken := 0
	for taken < len(p) {
		t.head[t.nhead] = p[taken]
		t.nhead++
		taken++
		if t.nhead >= 2 && int(t.nhead) == headLen(t.head[1]) {
			t.begin()
			break
		}
	}
	return taken
}

// begin starts the payload of the frame whose head is complete.
func (t *Tracker) begin() {
	t.left, _ = payloadLen(t.head[:])
	if t.head[0]&opcode == opClose {
		t.close = true
	}
	t.nhead = 0
}

// headLen is the length of a frame head whose second byte is b.
func headLen(b byte) int {
	n := 2
	switch b & length {
	case length16:
		n += 2
	case length64:
		n += 8
	}
	if b&masked != 0 {
		n += 4
	}
	return n
}
