package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// newCore makes a core that has just begun, at 0.
func newCore(p Pair) *core {
	c := &core{driver: &kernel{}}
	c.begin(p, Grace, 0)
	return c
}

// take has c take bytes from s, and the other side take all that waits then,
// which take returns.
func (c *core) take(s side, b []byte, now time.Duration) []byte {
	c.got(s, append(make([]byte, room), b...), len(b), now)
	passed := bytes.Clone(c.lanes[s].wait)
	if len(passed) > 0 {
		c.wrote(s, len(passed), nil, now)
	}
	return passed
}

// TestCloseFrameInPieces: however a close frame is cut in three, it passes
// whole, and once.
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

// TestEndHasItsGrace: an End that was asked for, after a fault, has all of
// Grace. Any other End leaves what is left since the tunnel began to end.
func TestEndHasItsGrace(t *testing.T) {
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
			c.end(goodbye, nil, late)
			if c.deadline != tt.want || c.half != min(late+Grace/2, tt.want) {
				t.Errorf("got half %v and deadline %v; want %v", c.half, c.deadline, tt.want)
			}
		})
	}
}

// TestTimesOfAQuietTunnel: nothing is done before its time, and next says when
// that is.
func TestTimesOfAQuietTunnel(t *testing.T) {
	const minute = time.Minute
	for name, tt := range map[string]struct {
		pair Pair
		take int // bytes that wait for the client
		want time.Duration
		sent []byte // to the client, when the time has come
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
				c.got(upstream, append(make([]byte, room), frame...), len(frame), 0)
				c.wrote(upstream, len(frame)-tt.take, nil, 0)
			}
			waiting := len(c.lanes[upstream].wait)
			if at := c.next(); at != tt.want {
				t.Fatalf("there is something to do at %v, want %v", at, tt.want)
			}
			before := min(tt.want, time.Hour) - 1
			c.tick(before)
			if len(c.lanes[upstream].wait) != waiting || c.reason != "" || c.next() != tt.want {
				t.Errorf("%v too early: sends %s, ended by the %v: %q", tt.want-before, brief(c.lanes[upstream].wait), c.by, c.reason)
			}
			if tt.want == never {
				return
			}
			c.tick(tt.want)
			if sent := c.lanes[upstream].wait; tt.take == 0 && !bytes.Equal(sent, tt.sent) || c.reason != tt.why || c.by != tt.by {
				t.Errorf("sends %s, ended by the %v: %q", brief(sent), c.by, c.reason)
			}
		})
	}
}

// TestWhoIsLost: a write that fails blames the side that was written to.
func TestWhoIsLost(t *testing.T) {
	for _, s := range []side{client, upstream} {
		c := newCore(Pair{Stall: defaultStall})
		c.wrote(s, 0, io.ErrClosedPipe, 0)
		if c.by != 1+Party(s.other()) || c.reason != "reset" || !c.gone[s.other()] || c.gone[s] {
			t.Errorf("ended by the %v: %s; the client is gone: %v, the upstream: %v", c.by, c.reason, c.gone[client], c.gone[upstream])
		}
	}
}

// TestEndOverWhatWaits: an End drops what the upstream has not taken of the
// client's frames yet, and of what the client has not taken it keeps the frame
// that has begun.
func TestEndOverWhatWaits(t *testing.T) {
	up, back := fromClient(0x82, 9), fromUpstream(0x82, 9)
	for name, taken := range map[string]int{"between frames": len(back), "inside a frame": len(back) - 3, "before its last byte": len(back) - 1} {
		t.Run(name, func(t *testing.T) {
			c := newCore(Pair{Stall: defaultStall})
			for s, frame := range map[side][]byte{client: up, upstream: back} {
				all := append(bytes.Clone(frame), frame...)
				c.got(s, append(make([]byte, room), all...), len(all), 0)
			}
			c.wrote(client, len(up), nil, 0)
			c.wrote(upstream, taken, nil, 0)
			c.end(goodbye, nil, 0)
			if got := c.lanes[client].wait; len(got) != len(goodbye)+4 || !bytes.Equal(got, wsframe.AppendMasked(nil, goodbye, [4]byte(got[2:]))) {
				t.Errorf("the upstream is sent %s", brief(got))
			}
			got := bytes.Clone(c.lanes[upstream].wait)
			c.wrote(upstream, len(got), nil, 0)
			got = append(got, c.lanes[upstream].wait...)
			if want := append(bytes.Clone(back[taken:]), goodbye...); !bytes.Equal(got, want) {
				t.Errorf("the client is sent %s, want %s", brief(got), brief(want))
			}
		})
	}
}

// TestFarewellIsGivenUp: half of Grace after an End inside a frame that is not
// finished, and everything at the end of Grace.
func TestFarewellIsGivenUp(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.take(upstream, fromUpstream(0x82, 9)[:5], 0)
	c.changed = false
	said := 0
	c.end(goodbye, func() { said++ }, 0)
	if !c.changed {
		t.Error("the driver is not told that something has changed")
	}
	c.wrote(client, len(c.lanes[client].wait), nil, 0)
	calls := func() {
		for _, call := range c.calls {
			call()
		}
		c.calls = nil
	}
	back := &c.lanes[upstream]
	for _, step := range []struct {
		at, next           time.Duration
		said               int
		changed            bool
		shutDue, isDead    bool
		whatIsToBeDoneThen string
	}{
		{Grace/2 - 1, Grace / 2, 0, false, false, false, "nothing"},
		{Grace / 2, Grace, 1, true, true, false, "the client is told the end of the stream"},
		{Grace - 1, Grace, 1, false, true, false, "nothing more"},
		{Grace, Grace, 1, true, true, true, "both connections are closed"},
	} {
		c.changed = false
		c.tick(step.at)
		calls()
		if c.next() != step.next || c.changed != step.changed || said != step.said || back.shutDue != step.shutDue || c.dead != step.isDead {
			t.Errorf("at %v: next at %v, changed %v, said %d times, shut %v, dead %v; want: %s", step.at, c.next(), c.changed, said, back.shutDue, c.dead, step.whatIsToBeDoneThen)
		}
	}
}

// TestStallCountsFromProgress: only bytes that were taken are progress.
func TestStallCountsFromProgress(t *testing.T) {
	c := newCore(Pair{Stall: time.Minute})
	frame := fromUpstream(0x82, 9)
	c.got(upstream, append(make([]byte, room), frame...), len(frame), 0)
	c.wrote(upstream, 0, nil, time.Second)
	if at := c.next(); at != time.Minute {
		t.Errorf("it counts as stalled at %v after nothing was taken", at)
	}
	c.wrote(upstream, 1, nil, time.Second)
	if at := c.next(); at != time.Minute+time.Second {
		t.Errorf("it counts as stalled at %v after a byte was taken", at)
	}
}

// TestNoPingWithinData: a ping stands between frames of the upstream, and in
// the place of none that waits.
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
		c.got(upstream, append(make([]byte, room), tt.sent...), len(tt.sent), 0)
		c.wrote(upstream, tt.took, nil, 0)
		c.ping(0)
		if got := c.lanes[upstream].wait; !bytes.Equal(got, tt.sent[tt.took:]) {
			t.Errorf("%s: the client is sent %s", name, brief(got))
		}
	}
}

// TestNothingIsOwedAfterEnd: once the client is lost, an upstream that has got
// its close frame is not waited for.
func TestNothingIsOwedAfterEnd(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.driver = &kernel{upstream: 5}
	c.end(goodbye, nil, 0)
	c.wrote(client, len(c.lanes[client].wait), nil, 0)
	c.wasShut(client, nil, 0)
	c.finished(client, io.ErrClosedPipe, 0)
	if !c.dead {
		t.Error("the tunnel waits")
	}
}

// TestFaultyUpstreamIsCut at once, and is sent nothing more.
func TestFaultyUpstreamIsCut(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	up := fromClient(0x82, 9)
	c.got(client, append(make([]byte, room), up...), len(up), 0)
	c.take(upstream, fromUpstream(0xF2, 9), 0)
	if !c.cut[upstream] || !c.gone[upstream] || c.lanes[client].phase != dropping || len(c.lanes[client].wait) > 0 || !c.lanes[upstream].ended {
		t.Errorf("cut %v, gone %v; %d bytes wait for it", c.cut[upstream], c.gone[upstream], len(c.lanes[client].wait))
	}
}

// TestFarewellThatWaits: what the client has not taken of its close frame
// stays to be sent.
func TestFarewellThatWaits(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.end(goodbye, nil, 0)
	for took := range 2 {
		c.wrote(upstream, took, nil, 0)
		if got := c.lanes[upstream].wait; !bytes.Equal(got, goodbye[took:]) {
			t.Errorf("it took %d bytes, and is sent %s", took, brief(got))
		}
	}
}

// TestNothingAfterAFault: nothing of the client's passes once it is at fault,
// even if it broke no rule. What the upstream sends does.
func TestNothingAfterAFault(t *testing.T) {
	for name, fault := range map[string]func(c *core){
		"a broken rule": func(c *core) { c.take(client, fromClient(0xF1, 5), 0) },
		"silence":       func(c *core) { c.tick(time.Minute) },
	} {
		c := newCore(Pair{Stall: time.Hour, Idle: time.Minute, Fault: func(int, string, string) {}})
		fault(c)
		if len(c.calls) != 1 {
			t.Fatalf("%s: %d calls", name, len(c.calls))
		}
		if passed := c.take(client, fromClient(0x82, 9), time.Minute); len(passed) > 0 {
			t.Errorf("%s: the upstream is sent %s", name, brief(passed))
		}
		frame := fromUpstream(0x82, 9)
		if passed := c.take(upstream, frame, time.Minute); !bytes.Equal(passed, frame) {
			t.Errorf("%s: the client is sent %s", name, brief(passed))
		}
	}
}

// TestFaultyUpstreamIsCutWhileFramesWait: although the tunnel is ending
// already, and the client has yet to take what came before the fault.
func TestFaultyUpstreamIsCutWhileFramesWait(t *testing.T) {
	c := newCore(Pair{Stall: defaultStall})
	c.take(client, fromClient(0x88, 2), 0)
	c.changed = false
	sent := append(fromUpstream(0x82, 9), fromUpstream(0xF2, 9)...)
	c.got(upstream, append(make([]byte, room), sent...), len(sent), 0)
	if !c.cut[upstream] || !c.changed {
		t.Errorf("cut: %v; the driver is told: %v", c.cut[upstream], c.changed)
	}
}

// TestNothingAfterAGivenUpFarewell: what waits for the client then is dropped,
// and so is what comes later.
func TestNothingAfterAGivenUpFarewell(t *testing.T) {
	frame := fromUpstream(0x82, 9)
	for taken := range 6 {
		c := newCore(Pair{Stall: defaultStall})
		c.got(upstream, append(make([]byte, room), frame[:5]...), 5, 0)
		c.wrote(upstream, taken, nil, 0)
		c.end(goodbye, nil, 0)
		c.tick(Grace / 2)
		if waits := c.lanes[upstream].wait; len(waits) > 0 {
			t.Errorf("%d bytes taken: the client is sent %s", taken, brief(waits))
		}
		if passed := c.take(upstream, frame[5:], Grace/2); len(passed) > 0 {
			t.Errorf("%d bytes taken: later the client is sent %s", taken, brief(passed))
		}
	}
}

// TestSaidOfALostClient: End calls back at once if the client is lost. If the
// upstream is lost, End calls back after the client has taken the farewell.
func TestSaidOfALostClient(t *testing.T) {
	for s, want := range map[side]int{client: 1, upstream: 0} {
		c := newCore(Pair{Stall: defaultStall})
		said := 0
		c.end(goodbye, func() { said++ }, 0)
		calls := func() int {
			for _, call := range c.calls {
				call()
			}
			c.calls = nil
			return said
		}
		c.finished(s, io.ErrClosedPipe, 0)
		if got := calls(); got != want {
			t.Errorf("side %d is lost: said %d times, want %d", s, got, want)
		}
		c.wrote(upstream, len(c.lanes[upstream].wait), nil, 0)
		if got := calls(); got != 1 {
			t.Errorf("side %d is lost: said %d times in the end", s, got)
		}
	}
}
