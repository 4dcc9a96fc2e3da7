package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"wsauth/internal/wsconn"
)

// fill makes the upstream send frames until its kernel still holds many of
// them, because the client does not read. It returns the bytes sent.
func (g *rig) fill() (sent []byte) {
	g.t.Helper()
	const many, calm = 96 << 10, 60 // many bytes; calm checks, which take longer than TCP takes to probe a full window
	frame := fromUpstream(0x82, 1<<12)
	for before, same := 0, 0; same < calm; {
		n := wsconn.Unsent(g.upstream.Conn)
		if n < many {
			g.upstream.send(frame)
			sent = append(sent, frame...)
			same = 0
			continue
		}
		if same++; n != before {
			same = 0
		}
		before = n
		time.Sleep(5 * time.Millisecond)
	}
	return sent
}

// TestG15_PongsDoNotResetTheUpstream checks that a client that reads slowly and
// sends unsolicited pongs gets everything from an upstream that has closed its
// connection. The upstream's kernel still has data, and would drop it if any
// bytes arrived.
func TestG15_PongsDoNotResetTheUpstream(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if w.pipe {
			return // a pipe has no kernel buffer
		}
		g := newRig(t, w, Pair{})
		all, last := g.fill(), fromUpstream(0x88, 20)
		g.upstream.send(last)
		all = append(all, last...)
		g.upstream.hangUp()
		got := make([]byte, 0, len(all))
		for round := 0; len(got) < len(all); round++ {
			g.client.send(fromClient(0x8A, []int{0, 4, 125}[round%3]))
			time.Sleep(10 * time.Millisecond)
			n, err := io.ReadFull(g.client, got[len(got):min(len(got)+1<<14, len(all))])
			got = got[:len(got)+n]
			if err != nil {
				t.Fatalf("%d of %d bytes: %v", len(got), len(all), err)
			}
		}
		if !bytes.Equal(got, all) {
			t.Error("got different bytes than were sent")
		}
		g.client.wantEnd()
		g.client.hangUp()
		g.waitClosed(TheUpstream, "close")
	})
}

// TestPongsOfAClientThatLags checks that a pong is dropped only while the
// client is behind, and only if the upstream has never sent a ping. The frames
// around it pass, wherever the bytes are split.
func TestPongsOfAClientThatLags(t *testing.T) {
	data, pong, ping := fromClient(0x82, 300), fromClient(0x8A, 9), fromUpstream(0x89, 9)
	for name, tt := range map[string]struct {
		pinged bool
		unsent int           // bytes
		lagged time.Duration // how long ago
		took   int           // bytes received from the upstream
		over   time.Duration // the time between the two halves of these bytes
		out    bool
	}{
		"not behind":         {unsent: lagBytes - 1},
		"the kernel is full": {unsent: lagBytes, out: true},
		"just now":           {lagged: lagTime - 1, out: true},
		"a while ago":        {lagged: lagTime},
		"much has come":      {took: lagBytes, out: true},
		"little has come":    {took: lagBytes - 1},
		"much, in pieces":    {took: lagBytes, over: lagTime - 1, out: true},
		"much, but slowly":   {took: lagBytes, over: lagTime},
		"the upstream pings": {pinged: true, unsent: lagBytes, lagged: 1},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := range len(pong) + 1 {
				c := &core{driver: &fakeDriver{client: tt.unsent}}
				c.begin(Pair{}, Grace, 0)
				now := time.Hour - tt.over
				passed := func(s side, b ...[]byte) []byte {
					all := bytes.Join(b, nil)
					if len(all) == 0 {
						return nil
					}
					buf := append(make([]byte, headroom), all...)
					c.received(s, buf, len(all), now)
					return c.lanes[s].pending
				}
				took := func(s side) { c.wrote(s, len(c.lanes[s].pending), nil, now) }
				if tt.pinged {
					passed(upstream, ping)
					took(upstream)
				}
				if tt.lagged > 0 {
					c.lag.laggedAt = now - tt.lagged
				}
				if tt.took > 0 {
					sent := fromUpstream(0x82, tt.took-4)
					passed(upstream, sent[:tt.took/2])
					took(upstream)
					now += tt.over
					passed(upstream, sent[tt.took/2:])
					took(upstream)
				}
				got := bytes.Clone(passed(client, pong[:cut]))
				took(client)
				got = append(got, passed(client, pong[cut:], data, pong[:3])...)
				took(client)
				got = append(got, passed(client, pong[3:])...)
				want := bytes.Join([][]byte{pong, data, pong}, nil)
				if tt.out {
					want = data
				}
				if !bytes.Equal(got, want) {
					t.Errorf("cut at %d: passed %s, want %s", cut, brief(got), brief(want))
				}
			}
		})
	}
}

// TestPongAtFirst checks that a client that was never behind is not treated as
// behind in the first second of the relay.
func TestPongAtFirst(t *testing.T) {
	c := newCore(Pair{})
	pong := fromClient(0x8A, 9)
	if passed := c.take(client, pong, lagTime/2); !bytes.Equal(passed, pong) {
		t.Errorf("passed %s, want %s", brief(passed), brief(pong))
	}
}

// A countingDriver counts the calls of unsent, each of which is a system call
// in a real driver.
type countingDriver int

func (*countingDriver) end([]byte, func()) {}
func (a *countingDriver) unsent(side) int  { *a++; return 0 }

// TestDataDoesNotAskForLag checks that the core checks whether the client is
// behind only for a pong.
func TestDataDoesNotAskForLag(t *testing.T) {
	c := newCore(Pair{})
	var a countingDriver
	c.driver = &a
	for _, step := range []struct {
		sent []byte
		want countingDriver
	}{{fromClient(0x82, 9), 0}, {fromClient(0x89, 0), 0}, {fromClient(0x8A, 0), 1}, {fromClient(0x82, 9), 1}} {
		c.take(client, step.sent, 0)
		if a != step.want {
			t.Errorf("unsent called %d times after % x, want %d", a, step.sent, step.want)
		}
	}
}

// TestPingDoesNotExtendABurst checks that a ping of the relay does not extend a
// burst of the upstream, and the pong passes.
func TestPingDoesNotExtendABurst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const early, ping = lagTime / 10, lagTime * 9 / 10
		g := newRig(t, transports[0], Pair{Ping: ping})
		time.Sleep(early)
		burst := frameOf(t, lagBytes, false)
		go g.upstream.send(burst)
		g.client.wantGets(burst, pingFrame)
		time.Sleep(lagTime / 2) // the burst is older than lagTime now
		g.client.send(fromClient(0x8A, 0))
		g.upstream.wantGets(fromClient(0x8A, 0))
	})
}
