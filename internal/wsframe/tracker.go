package wsframe

// Bits and opcodes in the first two bytes of a frame (RFC 6455 section 5.2).
const (
	fin     = 0x80
	opcode  = 0x0F
	opClose = 0x08
	masked  = 0x80
	length  = 0x7F

	length16 = 126
	length64 = 127
)

// MaxHead is the maximum length of a frame header in bytes: two, a length of
// eight and a masking key of four.
const MaxHead = 14

// A Tracker follows a stream of frames and knows at each byte whether it is
// between two frames. It parses headers only, and stores no payload. The zero
// Tracker is at the beginning of a stream.
type Tracker struct {
	left  uint64        // remaining payload bytes of the current frame
	head  [MaxHead]byte // header of the current frame so far
	nhead uint8
	close bool
}

// Boundary reports whether the stream is between two frames.
func (t *Tracker) Boundary() bool { return t.nhead == 0 && t.left == 0 }

// Closed reports whether a close frame has started. No frame may follow it (RFC
// 6455 section 5.5.1).
func (t *Tracker) Closed() bool { return t.close }

// Advance consumes the next bytes of the stream.
func (t *Tracker) Advance(p []byte) {
	for len(p) > 0 {
		p = p[t.step(p):]
	}
}

// ToBoundary returns how many bytes of p belong to the current frame. It
// returns 0 at a boundary, and len(p) and false if the frame does not end
// within p. It does not advance the Tracker.
func (t *Tracker) ToBoundary(p []byte) (n int, ok bool) {
	ahead := *t
	for !ahead.Boundary() && n < len(p) {
		n += ahead.step(p[n:])
	}
	return n, ahead.Boundary()
}

// step consumes at most the rest of one header or payload from p, which must
// not be empty, and returns its length.
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

// begin starts the payload of a frame whose header is complete.
func (t *Tracker) begin() {
	t.left, _ = payloadLen(t.head[:])
	if t.head[0]&opcode == opClose {
		t.close = true
	}
	t.nhead = 0
}

// headLen returns the length of a frame header whose second byte is b.
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
