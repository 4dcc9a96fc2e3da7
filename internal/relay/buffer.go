package relay

import "sync"

// Sizes of what one read may give.
const (
	smallRead = 4 << 10
	largeRead = 32 << 10
)

var largeBuffers = sync.Pool{New: func() any { return new([room + largeRead]byte) }}

// A buffer is what a pump reads into: small, as long as little comes at once.
type buffer struct {
	bytes []byte // room, and space for what is read
	small []byte
	large *[room + largeRead]byte // borrowed
	full  bool                    // the last read filled it
}

// next is the space for the next read. The bytes of the last one are lost.
func (b *buffer) next() []byte {
	switch {
	case b.small == nil:
		b.small = make([]byte, room+smallRead)
		b.bytes = b.small
	case b.full && b.large == nil:
		b.large = largeBuffers.Get().(*[room + largeRead]byte)
		b.bytes = b.large[:]
	case !b.full && b.large != nil:
		b.free()
	}
	return b.bytes[room:]
}

// filled notes how much was read.
func (b *buffer) filled(n int) { b.full = n >= smallRead }

// free gives back what was borrowed.
func (b *buffer) free() {
	b.bytes = b.small
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}
