package wsconn

import (
	"testing"
	"time"
)

// TestG15_ProgressAtTheLimit checks that 1 KiB a second is enough, and one byte
// less is not. Bytes taken before the first check do not count.
func TestG15_ProgressAtTheLimit(t *testing.T) {
	const before = 1 << 20
	for rate, want := range map[int64]bool{1024: true, 1023: false, 0: false} {
		var p Progress
		if p.Enough(before, time.Minute) {
			t.Errorf("%d bytes/s: the first look cannot tell", rate)
		}
		for n := int64(1); n <= 60; n++ {
			if got := p.Enough(before+n*rate, time.Minute+time.Duration(n)*time.Second); got != want {
				t.Errorf("%d bytes/s: enough after %d s: %v, want %v", rate, n, got, want)
			}
		}
	}
}
