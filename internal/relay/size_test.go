package relay

import (
	"testing"
	"unsafe"
)

// TestSizeOfATunnel holds a tunnel to 768 bytes, one of the sizes in which Go
// allocates memory. The next one is 896: one more byte would cost 128.
func TestSizeOfATunnel(t *testing.T) {
	if size := unsafe.Sizeof(Tunnel{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 768 {
		t.Errorf("a Tunnel takes %d bytes, want at most 768", size)
	}
}
