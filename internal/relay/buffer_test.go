package relay

import "testing"

// TestBuffer: a read that fills the small buffer is followed by a large one,
// and a read of little by a small one again. There is room before both.
func TestBuffer(t *testing.T) {
	var b buffer
	for i, step := range []struct{ read, next int }{
		{0, smallRead}, {smallRead - 1, smallRead}, {smallRead, largeRead}, {largeRead, largeRead}, {smallRead, largeRead}, {smallRead - 1, smallRead}, {smallRead, largeRead},
	} {
		b.filled(step.read)
		if space := b.next(); len(space) != step.next || &space[0] != &b.bytes[room] {
			t.Errorf("step %d: room for %d bytes, want %d", i, len(space), step.next)
		}
		if large := step.next == largeRead; large != (b.large != nil) {
			t.Errorf("step %d: a large buffer is borrowed: %v", i, b.large != nil)
		}
	}
	b.free()
	if b.large != nil || len(b.bytes) != room+smallRead {
		t.Error("the large buffer is kept")
	}
	b.free() // and not given back twice
}
