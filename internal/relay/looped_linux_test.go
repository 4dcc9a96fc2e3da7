package relay

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestClientIsUnheardFromEndOn: what a client has sent does not reach the
// upstream once End was called, even if the loop learns of it before it
// carries End out.
func TestClientIsUnheardFromEndOn(t *testing.T) {
	for _, w := range ways {
		if w.portable {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			g := newRig(t, w, Pair{})
			g.client.send(fromClient(0x82, 3)) // the loop has the tunnel once this is through
			g.upstream.gets(fromClient(0x82, 3))
			d := g.driver.(*looped)
			said := make(chan struct{})
			d.loop.order(func() {
				g.client.send(fromClient(0x82, 5))
				g.End(goodbye, func() { close(said) }) // orders the end, for later
				d.event(d.lanes[client].fd, unix.EPOLLIN)
			})
			receive(t, said)
			g.getsMasked(goodbye)
			g.client.gets(goodbye)
		})
	}
}

// orderOf has the loop of a driver call f.
func orderOf(d driver, f func()) bool { return d.(*looped).loop.order(f) }
