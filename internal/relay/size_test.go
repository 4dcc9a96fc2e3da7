package relay

import (
	"testing"
	"unsafe"
)

// TestSizeOfATunnel checks that a tunnel has at most 632 bytes. With a header
// of 8 bytes, this is one of the sizes in which Go allocates memory. The next
// one is 704, so one more byte would cost 64.
func TestSizeOfATunnel(t *testing.T) {
	if size := unsafe.Sizeof(Tunnel{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 632 {
		t.Errorf("a Tunnel takes %d bytes, want at most 632", size)
	}
}
