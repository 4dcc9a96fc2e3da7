package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// newCore returns a core that starts at time 0.
func newCore(p Pair) *core {
	c := &core{driver: &fakeDriver{}}
	c.begin(p, Grace, 0)
	return c
}

// take passes bytes from s to c, and writes everything that is then pending for
// the other side. It returns what it wrote.
func (c *core) take(s side, b []byte, now time.Duration) []byte {
	c.received(s, append(make([]byte, headroom), b...), len(b), now)
	passed := bytes.Clone(c.lanes[s].pending)
	if len(passed) > 0 {
		c.wrote(s, len(passed), nil, now)
	}
	return passed
}

// TestCloseFrameInPieces checks that a close frame that arrives in up to three
// pieces passes whole, and once.
func TestCloseFrameInPieces(t *testing.T) {
	for s, frame := range map[side][]byte{client: fromClient(0x88, 20), upstream: fromUpstream(0x88, 20)} {
		for second := range len(frame) {
			for first := range second {
				c := newCore(Pair{Stall: defaultStall})
				var passed []byte
				for _, piece := range [][]byte{frame[:first], frame[first:second], frame[second:], {1, 2, 3}} {
					if len(piece) > 0 {
						passed = append(passed, c.take(s, piece, 0)...)
					}
				}
				if !bytes.Equal(passed, frame) || c.by != 1+Party(s) || c.reason != "close" {
					t.Fatalf("cut at %d and %d: passed %s, ended by the %v: %s", first, second, brief(passed), c.by, c.reason)
				}
			}
		}
	}
}

// TestGraceOfEnd checks that an End after a fault has all of Grace. Any other
// End has what is left of Grace since the tunnel started to end.
func TestGraceOfEnd(t *testing.T) {
	const late = Grace - time.Second
	for name, tt := range map[string]struct {
		before func(c *core)
		want   time.Duration // when both connections are closed
	}{
		"nothing before": {func(*core) {}, late + Grace},
		"a fault":        {func(c *core) { c.take(client, fromClient(0xF1, 5), 0) }, late + Grace},
		"a close frame":  {func(c *core) { c.take(client, fromClient(0x88, 2), 0) }, Grace},
		"a close frame, then a fault": {func(c *core) {
			c.take(upstream, fromUpstream(0x88, 2), 0)
			c.take(client, fromClient(0xF1, 5), 0)
		}, Grace},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(Pair{Stall: defaultStall, Fault: func(int, string, string) {}})
			tt.before(c)
			c.end(endFrame, nil, late)
			if c.deadline != tt.want || c.closeFrameDeadline != min(late+Grace/2, tt.want) {
				t.Errorf("got a deadline of %v for the close frame and of %v in all; want %v in all", c.closeFrameDeadline, c.deadline, tt.want)
			}
		})
	}
}

// TestTimesOfAQuietTunnel checks that next returns when a limit is due, and
// that tick does nothing before then.
func TestTimesOfAQuietTunnel(t *testing.T) {
	const minute = time.Minute
	for name, tt := range map[string]struct {
		pair Pair
		take int // bytes pending for the client
		want time.Duration
		sent []byte // to the client, at that time
		by   Party
		why  string
	}{
		"no limits":      {pair: Pair{Stall: minute}, want: never},
		"ping":           {pair: Pair{Stall: minute, Ping: minute}, want: minute, sent: pingFrame},
		"idle":           {pair: Pair{Stall: minute, Idle: minute}, want: minute, why: "idle_timeout"},
		"one byte waits": {pair: Pair{Stall: minute}, take: 1, want: minute, by: TheClient, why: "stalled"},
		"more waits":     {pair: Pair{Stall: minute, Ping: 2 * minute, Idle: 1}, take: 9, want: minute, by: TheClient, why: "stalled"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.pair.Fault = func(int, string, string) {}
			c := newCore(tt.pair)
			if tt.take > 0 {
				frame := fromUpstream(0x82, 9)
				c.received(upstream, append(make([]byte, headroom), frame...), len(frame), 0)
				c.wrote(upstream, len(frame)-tt.take, nil, 0)
			}
			waiting := len(c.lanes[upstream].pending)
			if at := c.next(); at != tt.want {
				t.Fatalf("next() = %v, want %v", at, tt.want)
			}
			before := min(tt.want, time.Hour) - 1
			c.tick(before)
			if len(c.lanes[upstream].pending) != waiting || c.reason != "" || c.next() != tt.want {
				t.Errorf("%v early: sends %s, ended by the %v: %q; want nothing", tt.want-before, brief(c.lanes[upstream].pending), c.by, c.reason)
			}
			if tt.want == never {
				return
			}
			c.tick(tt.want)
			if sent := c.lanes[upstream].pending; tt.take == 0 && !bytes.Equal(sent, tt.sent) || c.reason != tt.why || c.by != tt.by {
				t.Errorf("sends %s, ended by the %v: %q; want %s, the %v: %q", brief(sent), c.by, c.reason, brief(tt.sent), tt.by, tt.why)
			}
		})
	}
}

// TestFailedWriteLosesTheDestination checks that the destination of a failed
// write is lost.
func TestFailedWriteLosesTheDestination(t *testing.T) {
	for _, s := range []side{client, upstream} {
		c := newCore(Pair{Stall: defaultStall})
		c.wrote(s, 0, io.ErrClosedPipe, 0)
		if c.by != 1+Party(s.other()) || c.reason != "reset" || !c.lanes[s].lost || c.lanes[s.other()].lost {
			t.Errorf("side %d: ended by the %v: %s; client lost: %v, upstream lost: %v", s, c.by, c.reason, c.lanes[upstream].lost, c.lanes[client].lost)
		}
	}
}

// TestEndDropsPendingBytes checks that an End drops the bytes pending for the
// upstream, and all those pending for the client except the current frame.
func TestEndDropsPendingBytes(t *testing.T) {
	up, back := fromClient(0x82, 9), fromUpstream(0x82, 9)
	for name, taken := range map[string]int{"between frames": len(back), "inside a frame": len(back) - 3, "before its last byte": len(back) - 1} {
		t.Run(name, func(t *testing.T) {
			c := newCore(Pair{Stall: defaultStall})
			for s, frame := range map[side][]byte{client: up, upstream: back} {
				all := append(bytes.Clone(frame), frame...)
				c.received(s, append(make([]byte, headroom), all...), len(all), 0)
			}
			c.wrote(client, len(up), nil, 0)
			c.wrote(upstream, taken, nil, 0)
			c.end(endFrame, nil, 0)
			if got := c.lanes[client].pending; len(got) != len(endFrame)+4 || !bytes.Equal(got, wsframe.AppendMasked(nil, endFrame, [4]byte(got[2:]))) {
				t.Errorf("the upstream is sent %s, want the masked close frame", brief(got))
			}
			got := bytes.Clone(c.lanes[upstream].pending)
			c.wrote(upstream, len(got), nil, 0)
			got = append(got, c.lanes[upstream].pending...)
			if want := append(bytes.Clone(back[taken:]), endFrame...); !bytes.Equal(got, want) {
				t.Errorf("the client is sent %s, want %s", brief(got), brief(want))
			}
		})
	}
}

// TestCloseFrameIsGivenUp checks that after an End inside a frame that is never
// finished, the close frame is given up after half of Grace, and the tunnel
// after Grace.
func TestCloseFrameIsGivenUp(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.take(upstream, fromUpstream(0x82, 9)[:5], 0)
	c.changed = false
	frameSent := 0
	c.end(endFrame, func() { frameSent++ }, 0)
	if !c.changed {
		t.Error("changed is not set")
	}
	c.wrote(client, len(c.lanes[client].pending), nil, 0)
	calls := func() {
		for _, call := range c.calls {
			call()
		}
		c.calls = nil
	}
	back := &c.lanes[upstream]
	for _, step := range []struct {
		at, next        time.Duration
		frameSent       int
		changed         bool
		shutDue, isDead bool
		what            string
	}{
		{Grace/2 - 1, Grace / 2, 0, false, false, false, "nothing"},
		{Grace / 2, Grace, 1, true, true, false, "the client is half-closed"},
		{Grace - 1, Grace, 1, false, true, false, "nothing more"},
		{Grace, Grace, 1, true, true, true, "both connections are closed"},
	} {
		c.changed = false
		c.tick(step.at)
		calls()
		if c.next() != step.next || c.changed != step.changed || frameSent != step.frameSent || back.halfCloseDue != step.shutDue || c.dead != step.isDead {
			t.Errorf("at %v: next at %v, changed %v, callback called %d times, half-close due %v, dead %v; want: %s", step.at, c.next(), c.changed, frameSent, back.halfCloseDue, c.dead, step.what)
		}
	}
}

// TestStallCountsFromProgress checks that the time until a stall restarts only
// when bytes were written.
func TestStallCountsFromProgress(t *testing.T) {
	c := newCore(Pair{Stall: time.Minute})
	frame := fromUpstream(0x82, 9)
	c.received(upstream, append(make([]byte, headroom), frame...), len(frame), 0)
	c.wrote(upstream, 0, nil, time.Second)
	if at := c.next(); at != time.Minute {
		t.Errorf("stalled at %v after no byte was written, want %v", at, time.Minute)
	}
	c.wrote(upstream, 1, nil, time.Second)
	if at := c.next(); at != time.Minute+time.Second {
		t.Errorf("stalled at %v after a byte was written, want %v", at, time.Minute+time.Second)
	}
}

// TestNoPingWithinData checks that a ping goes between frames of the upstream,
// and does not replace a pending frame.
func TestNoPingWithinData(t *testing.T) {
	frame := fromUpstream(0x82, 9)
	for name, tt := range map[string]struct {
		sent []byte
		took int
	}{
		"a frame waits":  {frame, 0},
		"inside a frame": {frame[:5], 5},
		"after a close":  {fromUpstream(0x88, 2), 4},
	} {
		c := newCore(Pair{Stall: defaultStall})
		c.received(upstream, append(make([]byte, headroom), tt.sent...), len(tt.sent), 0)
		c.wrote(upstream, tt.took, nil, 0)
		c.lanes[upstream].ping(0)
		if got := c.lanes[upstream].pending; !bytes.Equal(got, tt.sent[tt.took:]) {
			t.Errorf("%s: the client is sent %s, want %s", name, brief(got), brief(tt.sent[tt.took:]))
		}
	}
}

// TestNoWaitForTheUpstreamAfterEnd checks that once the client is lost, the
// tunnel does not wait for an upstream that got its close frame.
func TestNoWaitForTheUpstreamAfterEnd(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.driver = &fakeDriver{upstream: 5}
	c.end(endFrame, nil, 0)
	c.wrote(client, len(c.lanes[client].pending), nil, 0)
	c.halfClosed(client, nil, 0)
	c.finished(client, io.ErrClosedPipe, 0)
	if !c.dead {
		t.Error("the tunnel is not closed")
	}
}

// TestFaultyUpstreamIsCut checks that an upstream that breaks a rule is cut at
// once, and is sent nothing more.
func TestFaultyUpstreamIsCut(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	up := fromClient(0x82, 9)
	c.received(client, append(make([]byte, headroom), up...), len(up), 0)
	c.take(upstream, fromUpstream(0xF2, 9), 0)
	if !c.lanes[upstream].cut || !c.lanes[client].lost || c.lanes[client].phase != dropping || len(c.lanes[client].pending) > 0 || !c.lanes[upstream].ended {
		t.Errorf("cut: %v, lost: %v; %d bytes are pending for it", c.lanes[upstream].cut, c.lanes[client].lost, len(c.lanes[client].pending))
	}
}

// TestPartOfCloseFrame checks that after a part of the close frame was written,
// the rest stays pending.
func TestPartOfCloseFrame(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.end(endFrame, nil, 0)
	for took := range 2 {
		c.wrote(upstream, took, nil, 0)
		if got := c.lanes[upstream].pending; !bytes.Equal(got, endFrame[took:]) {
			t.Errorf("after %d bytes %s is pending, want %s", took, brief(got), brief(endFrame[took:]))
		}
	}
}

// TestNothingAfterAFault checks that nothing from the client passes once it has
// broken a rule or exceeded a time limit. The upstream's frames still pass.
func TestNothingAfterAFault(t *testing.T) {
	for name, fault := range map[string]func(c *core){
		"a broken rule": func(c *core) { c.take(client, fromClient(0xF1, 5), 0) },
		"silence":       func(c *core) { c.tick(time.Minute) },
	} {
		c := newCore(Pair{Stall: time.Hour, Idle: time.Minute, Fault: func(int, string, string) {}})
		fault(c)
		if len(c.calls) != 1 {
			t.Fatalf("%s: got %d calls, want 1", name, len(c.calls))
		}
		if passed := c.take(client, fromClient(0x82, 9), time.Minute); len(passed) > 0 {
			t.Errorf("%s: the upstream is sent %s, want nothing", name, brief(passed))
		}
		frame := fromUpstream(0x82, 9)
		if passed := c.take(upstream, frame, time.Minute); !bytes.Equal(passed, frame) {
			t.Errorf("%s: the client is sent %s, want %s", name, brief(passed), brief(frame))
		}
	}
}

// TestFaultyUpstreamIsCutWhileFramesWait checks that an upstream is cut even if
// the tunnel is already ending and bytes from before the fault are pending for
// the client.
func TestFaultyUpstreamIsCutWhileFramesWait(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.take(client, fromClient(0x88, 2), 0)
	c.changed = false
	sent := append(fromUpstream(0x82, 9), fromUpstream(0xF2, 9)...)
	c.received(upstream, append(make([]byte, headroom), sent...), len(sent), 0)
	if !c.lanes[upstream].cut || !c.changed {
		t.Errorf("cut: %v, changed: %v; want both", c.lanes[upstream].cut, c.changed)
	}
}

// TestNothingAfterAGivenUpCloseFrame checks that, once the close frame is given
// up, pending and later bytes for the client are dropped.
func TestNothingAfterAGivenUpCloseFrame(t *testing.T) {
	frame := fromUpstream(0x82, 9)
	for taken := range 6 {
		c := newCore(Pair{Stall: defaultStall})
		c.received(upstream, append(make([]byte, headroom), frame[:5]...), 5, 0)
		c.wrote(upstream, taken, nil, 0)
		c.end(endFrame, nil, 0)
		c.tick(Grace / 2)
		if waits := c.lanes[upstream].pending; len(waits) > 0 {
			t.Errorf("%d bytes taken: the client is sent %s, want nothing", taken, brief(waits))
		}
		if passed := c.take(upstream, frame[5:], Grace/2); len(passed) > 0 {
			t.Errorf("%d bytes taken: later the client is sent %s, want nothing", taken, brief(passed))
		}
	}
}

// TestEndCallbackAfterLoss checks that End calls back at once if the client is
// lost. If the upstream is lost, End calls back after the client's close frame
// is written.
func TestEndCallbackAfterLoss(t *testing.T) {
	for s, want := range map[side]int{client: 1, upstream: 0} {
		c := newCore(Pair{Stall: defaultStall})
		frameSent := 0
		c.end(endFrame, func() { frameSent++ }, 0)
		calls := func() int {
			for _, call := range c.calls {
				call()
			}
			c.calls = nil
			return frameSent
		}
		c.finished(s, io.ErrClosedPipe, 0)
		if got := calls(); got != want {
			t.Errorf("side %d is lost: called back %d times, want %d", s, got, want)
		}
		c.wrote(upstream, len(c.lanes[upstream].pending), nil, 0)
		if got := calls(); got != 1 {
			t.Errorf("side %d is lost: called back %d times in the end, want 1", s, got)
		}
	}
}
