package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
)

// A fakeDriver reports unsent bytes for each side.
type fakeDriver [2]int

func (k *fakeDriver) end([]byte, func()) {}
func (k *fakeDriver) unsent(s side) int  { return k[s] }

// TestG15_GraceFollowsProgress checks that a side that takes at least 1 KiB a
// second of what the kernel holds for it gets more time, up to a minute. A
// slower side does not, nor does any side after End.
func TestG15_GraceFollowsProgress(t *testing.T) {
	const second = time.Second
	for name, tt := range map[string]struct {
		from         side
		reset        bool          // the sender accepts no more bytes
		rate         int           // bytes that the reader takes per second
		end          time.Duration // when the owner ends the tunnel; 0: never
		least, limit time.Duration // until the tunnel is closed
	}{
		"400 KB/s":               {rate: 400_000, from: upstream, least: 14 * second, limit: 21 * second},
		"400 KB/s, reset":        {rate: 400_000, from: upstream, reset: true, least: 14 * second, limit: 21 * second},
		"to the upstream":        {rate: 400_000, from: client, least: 14 * second, limit: 21 * second},
		"to the upstream, reset": {rate: 400_000, from: client, reset: true, least: 14 * second, limit: 17 * second},
		"2 KB/s for a minute":    {rate: 2000, from: upstream, least: 60 * second, limit: 60 * second},
		"too slow":               {rate: 500, from: upstream, least: 5 * second, limit: 5 * second},
		"nothing":                {from: upstream, least: 5 * second, limit: 5 * second},
		"P11 everything":         {rate: 1 << 30, from: upstream, least: 5 * second, limit: 5 * second},
		"L4 End":                 {rate: 400_000, from: upstream, end: 4 * second, least: 5 * second, limit: 9 * second},
	} {
		t.Run(name, func(t *testing.T) {
			const sent = 6_000_000
			k := &fakeDriver{}
			c := &core{driver: k}
			c.begin(Pair{Stall: defaultStall}, Grace, 0)
			c.lanes[tt.from].bytes = sent
			reader := tt.from.other()
			k[reader] = sent
			if tt.reset {
				c.wrote(reader, 0, io.ErrClosedPipe, 0)
			}
			c.finished(tt.from, nil, 0)
			now := time.Duration(0)
			for !c.dead && now < 2*time.Minute {
				at := c.next()
				if at == never || at <= now {
					at = now + 100*time.Millisecond
				}
				if tt.end > 0 && now < tt.end && at >= tt.end {
					c.end(endFrame, nil, tt.end)
				}
				now = at
				k[reader] = max(0, sent-int(now.Seconds()*float64(tt.rate)))
				for s := range c.lanes { // as a driver writes and half-closes
					if l := &c.lanes[s]; l.phase != dropping && len(l.pending) > 0 {
						c.wrote(side(s), len(l.pending), nil, now)
					} else if l.halfCloseDue {
						c.halfClosed(side(s), nil, now)
					}
				}
				c.tick(now)
				if at := c.next(); !c.dead && at <= now {
					t.Fatalf("at %v: next() = %v, want a later time", now, at)
				}
			}
			if now < tt.least || now > tt.limit {
				t.Errorf("closed after %v, want %v to %v", now, tt.least, tt.limit)
			}
		})
	}
}

// TestG15_SlowReadersGetEverything checks that a side that reads slowly and
// keeps sending pongs gets everything from a side that sends much, closes and
// hangs up: every byte, the close frame, and the end of the stream.
func TestG15_SlowReadersGetEverything(t *testing.T) {
	for name, from := range map[string]side{"from the upstream": upstream, "from the client": client} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w transport) {
				g := newRig(t, w, Pair{})
				sender, reader := g.upstream, g.client
				frame, last, pong := fromUpstream(0x82, 1<<16), fromUpstream(0x88, 20), fromClient(0x8A, 4)
				if from == client {
					sender, reader = g.client, g.upstream
					frame, last, pong = fromClient(0x82, 1<<16), fromClient(0x88, 20), fromUpstream(0x8A, 4)
				}
				all := append(bytes.Repeat(frame, 32), last...)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					sender.send(all)
				}()
				got := make([]byte, 0, len(all))
				readFast := func(n int) {
					t.Helper()
					piece := make([]byte, n)
					n, err := io.ReadFull(reader, piece)
					got = append(got, piece[:n]...)
					if err != nil {
						t.Fatalf("%s got %d of %d bytes, %v", reader.name, len(got), len(all), err)
					}
				}
				// The sender hangs up when the relay's kernel has everything. If it closed
				// earlier, with unread bytes, its own kernel would drop the rest.
				for returned := false; !returned || wsconn.Unsent(sender.Conn) > 0; {
					select {
					case <-sent:
						returned = true
						time.Sleep(time.Millisecond)
					default:
					}
					if !returned || wsconn.Unsent(sender.Conn) > 0 {
						readFast(min(1<<13, len(all)-len(got)))
					}
				}
				sender.hangUp()
				pause, piece := 10*time.Millisecond, 1<<13
				for len(got) < len(all) {
					time.Sleep(pause)
					_, _ = reader.Write(pong) // fails if the connection is closed
					readFast(min(piece, len(all)-len(got)))
				}
				if !bytes.Equal(got, all) {
					t.Error("got different bytes than were sent")
				}
				reader.wantEnd()
				reader.hangUp()
				if r := receive(t, g.results); r.By != 1+Party(from) || r.Reason != "close" && r.Reason != "reset" {
					t.Error(r)
				}
			})
		})
	}
}

// TestSlowReadersSideBySide checks that bytes pending for one client never
// reach another. Many clients of one loop read more slowly than their upstreams
// send.
func TestSlowReadersSideBySide(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if w.pipe {
			return // a pipe has no kernel buffer, so no write is partial
		}
		if dial := w.dial; dial != nil { // with a small send buffer, so that it takes several writes
			w.dial = func(t *testing.T) (near, far net.Conn) {
				near, far = dial(t)
				if small, ok := near.(*net.TCPConn); ok {
					if err := small.SetWriteBuffer(1 << 13); err != nil {
						t.Fatal(err)
					}
				}
				return near, far
			}
			if w.dialBack == nil {
				w.dialBack = dial
			}
		}
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		const size, piece = 1 << 20, 1 << 13
		rigs := make([]*rig, 8)
		for i := range rigs {
			g := rigOf(t, r, w, Pair{})
			rigs[i] = g
			head := []byte{0x82, 127, 0, 0, 0, 0, 0, size >> 16, 0, 0}
			sent := append(head, bytes.Repeat([]byte{byte('a' + i)}, size)...)
			go func() { _, _ = g.upstream.Write(sent) }() // a failure shows below
			g.client.wantGets(sent[:len(head)])
		}
		got := make([]byte, piece)
		for range size / piece {
			for i, g := range rigs {
				if n, err := io.ReadFull(g.client, got); err != nil || bytes.Count(got, []byte{byte('a' + i)}) != piece {
					t.Fatalf("client %d got %d bytes, %v, %s; want all of its own", i, n, err, brief(got))
				}
			}
		}
		for _, g := range rigs {
			g.client.hangUp()
			g.upstream.hangUp()
			receive(t, g.results)
		}
	})
}

// TestG15_ClientThatClosesGetsWhatIsOnItsWay checks that a client that sends a
// close frame while many bytes are on their way to it gets these and the
// upstream's answer. A blocked write to it continues, also over TLS, where a
// write cannot resume after a timeout.
func TestG15_ClientThatClosesGetsWhatIsOnItsWay(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if w.pipe {
			return // a pipe has no kernel buffer
		}
		g := newRig(t, w, Pair{})
		sent, bye, last := g.fill(), fromClient(0x88, 20), fromUpstream(0x88, 20)
		g.client.send(bye)
		g.upstream.wantGets(bye)
		g.client.wantGets(sent)
		g.upstream.send(last)
		g.client.wantGets(last)
		g.client.hangUp()
		g.upstream.hangUp()
		g.waitClosed(TheClient, "close")
	})
}

// TestL4_EndDoesNotFollowProgress checks that a socket that ends by revocation,
// expiry or logout is closed after Grace, even if the client is still taking
// bytes that the upstream sent before.
func TestL4_EndDoesNotFollowProgress(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = g.upstream.Write(bytes.Repeat(fromUpstream(0x82, 1<<16), 64)) // may be cut off
			g.upstream.hangUp()
		}()
		if _, err := io.ReadFull(g.client, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		var start time.Time
		stop := make(chan struct{})
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for {
				if _, err := io.CopyN(io.Discard, g.client, 1<<10); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(w.unit() / 10):
				}
			}
		}()
		start = time.Now()
		g.End(endFrame, nil)
		receive(t, g.results)
		if took := time.Since(start); took > 2*w.grace {
			t.Errorf("the tunnel closed after %v, want at most %v", took, 2*w.grace)
		}
		close(stop)
		g.client.hangUp()
		receive(t, reading)
		receive(t, sent)
	})
}
