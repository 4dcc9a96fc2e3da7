package relay

import "testing"

// TestBuffer checks that a read that fills the small buffer is followed by a
// large one, and a short read by a small one again. Both have headroom.
func TestBuffer(t *testing.T) {
	var b buffer
	for i, step := range []struct{ read, next int }{
		{0, smallRead}, {smallRead - 1, smallRead}, {smallRead, largeRead}, {largeRead, largeRead}, {smallRead, largeRead}, {smallRead - 1, smallRead}, {smallRead, largeRead},
	} {
		b.noteRead(step.read)
		if space := b.next(); len(space) != step.next || &space[0] != &b.bytes[headroom] {
			t.Errorf("step %d: space for %d bytes, want %d", i, len(space), step.next)
		}
		if large := step.next == largeRead; large != (b.large != nil) {
			t.Errorf("step %d: large buffer borrowed: %v, want %v", i, b.large != nil, large)
		}
	}
	b.free()
	if b.large != nil || len(b.bytes) != headroom+smallRead {
		t.Error("the large buffer was not returned")
	}
	b.free() // must not return the large buffer twice
}
