package relay

import "sync"

// Sizes of a single read, in bytes.
const (
	smallRead = 4 << 10
	largeRead = 32 << 10
)

var largeBuffers = sync.Pool{New: func() any { return new([headroom + largeRead]byte) }}

// A buffer is the space that a pump reads into. It grows after a large read,
// and shrinks after a small one.
type buffer struct {
	bytes []byte // headroom, then space for a read
	small []byte
	large *[headroom + largeRead]byte // from largeBuffers
	full  bool                        // the last read returned at least smallRead bytes
}

// next returns the space for the next read. It invalidates the bytes of the
// last one.
func (b *buffer) next() []byte {
	switch {
	case b.small == nil:
		b.small = make([]byte, headroom+smallRead)
		b.bytes = b.small
	case b.full && b.large == nil:
		b.large = largeBuffers.Get().(*[headroom + largeRead]byte)
		b.bytes = b.large[:]
	case !b.full && b.large != nil:
		b.free()
	}
	return b.bytes[headroom:]
}

// noteRead records that the last read returned n bytes.
func (b *buffer) noteRead(n int) { b.full = n >= smallRead }

// free returns the large buffer to the pool.
func (b *buffer) free() {
	b.bytes = b.small
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}
