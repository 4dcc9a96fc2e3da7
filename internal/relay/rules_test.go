package relay

import (
	"bytes"
	"math"
	"testing"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsframe"
)

// TestClientsFaults checks that no part of a frame that breaks a rule reaches
// the upstream, however it is split, and that the owner sends the close frame.
func TestClientsFaults(t *testing.T) {
	endless := []byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4}
	tooLong := bytes.Clone(endless)
	tooLong[2] = 0x80
	for name, tc := range map[string]struct {
		pair  Pair
		good  []byte
		bad   []byte
		fault string
	}{
		"P4 fragments":                {pair: Pair{MaxFragments: 100}, good: append(fromClient(0x01, 1), bytes.Repeat(fromClient(0x00, 0), 99)...), bad: fromClient(0x00, 0), fault: "1008 too_many_fragments"},
		"P5 a length of 2^63":         {bad: tooLong, fault: "1002 protocol_error"},
		"P5 a length of 2^63-1":       {pair: Pair{MaxFrame: 1 << 20}, bad: endless, fault: "1009 message_too_big"},
		"P5 a length beyond counting": {pair: Pair{MaxMessage: math.MaxInt64}, good: fromClient(0x02, 9), bad: append([]byte{0x80}, endless[1:]...), fault: "1009 message_too_big"},
		"P6 unmasked":                 {good: fromClient(0x81, 70000), bad: fromUpstream(0x81, 5), fault: "1002 protocol_error"},
		"P7 RSV1":                     {good: fromClient(0x81, 5), bad: fromClient(0xC1, 5), fault: "1002 protocol_error"},
		"P7 RSV2":                     {pair: Pair{Deflate: true}, good: fromClient(0xC1, 5), bad: fromClient(0xA1, 5), fault: "1002 protocol_error"},
		"P7 opcode 3":                 {good: fromClient(0x81, 5), bad: fromClient(0x83, 5), fault: "1002 protocol_error"},
		"P7 opcode F":                 {good: fromClient(0x81, 5), bad: fromClient(0x8F, 5), fault: "1002 protocol_error"},
		"P9 ping flood":               {good: bytes.Repeat(fromClient(0x89, 0), 100), bad: bytes.Repeat(fromClient(0x89, 0), 10000), fault: "1008 too_many_control_frames"},
		"P9 ping of 126 bytes":        {bad: fromClient(0x89, 126), fault: "1002 protocol_error"},
		"P9 fragmented ping":          {bad: fromClient(0x09, 5), fault: "1002 protocol_error"},
		"P10 close of one byte":       {bad: fromClient(0x88, 1), fault: "1002 protocol_error"},
		"P10 close 1005":              {good: fromClient(0x81, 5), bad: closeFrameWith(1005), fault: "1002 protocol_error"},
		"P10 close 999":               {bad: closeFrameWith(999), fault: "1002 protocol_error"},
		"P10 close 65535":             {bad: closeFrameWith(65535), fault: "1002 protocol_error"},
		"P10 reason is not UTF-8":     {bad: []byte{0x88, 0x84, 0, 0, 0, 0, 0x03, 0xE8, 0xC3, 0x28}, fault: "1007 invalid_text"},
		"P12 frame too big":           {pair: Pair{MaxFrame: 1000}, good: fromClient(0x81, 1000), bad: fromClient(0x81, 1001), fault: "1009 message_too_big"},
		"P12 message too big":         {pair: Pair{MaxMessage: 1000}, good: fromClient(0x01, 900), bad: fromClient(0x80, 101), fault: "1009 message_too_big"},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w transport) {
				g := newRig(t, w, tc.pair)
				received := make(chan struct{})
				go func() {
					defer close(received)
					g.upstream.wantGets(tc.good)
				}()
				g.client.send(tc.good, tc.bad[:1])
				go func() { _, _ = g.client.Write(tc.bad[1:]) }() // the relay may not read it
				receive(t, received)
				g.waitFault(tc.fault)
				g.upstream.send(fromUpstream(0x81, 5)) // still passes
				g.client.wantGets(fromUpstream(0x81, 5))
				go g.End(endFrame, nil)
				g.client.wantGets(endFrame)
				g.client.wantEnd()
				g.client.hangUp()
				g.wantMasked(endFrame)
				g.upstream.wantEnd()
				g.upstream.hangUp()
				g.waitClosed(TheClient, tc.fault[5:])
			})
		})
	}
}

// TestFaultWithoutOwner checks that the relay sends the close frames itself if
// there is no Fault callback.
func TestFaultWithoutOwner(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		near, far := w.dial(t)
		back, upstream := w.dial(t)
		closed := make(chan Result, 1)
		r.Carry(Pair{Client: near, Upstream: back, MaxFrame: 5, Closed: func(r Result) { closed <- r }})
		c, u := peer{far, t, "the client"}, peer{upstream, t, "the upstream"}
		c.send(fromClient(0x81, 6)[:6])
		c.wantGets(wsframe.AppendClose(nil, 1009, "message_too_big"))
		c.hangUp()
		(&rig{t: t, upstream: u}).wantMasked(wsframe.AppendClose(nil, 1009, "message_too_big"))
		u.hangUp()
		if r := receive(t, closed); r.By != TheClient || r.Reason != "message_too_big" {
			t.Errorf("ended by the %v: %s; want the %v: message_too_big", r.By, r.Reason, TheClient)
		}
	})
}

// TestFaultThatNobodyEnds checks that the relay cuts both sides if the owner
// does not call End within Grace.
func TestFaultThatNobodyEnds(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0xF1, 6))
		g.waitFault("1002 protocol_error")
		g.client.wantCut()
		g.upstream.wantCut()
		g.waitClosed(TheClient, "protocol_error")
	})
}

// TestUpstreamsFaults checks that the client gets bad_gateway, and the upstream
// is cut.
func TestUpstreamsFaults(t *testing.T) {
	for name, tc := range map[string]struct{ good, bad []byte }{
		"masked":         {fromUpstream(0x82, 70000), fromClient(0x82, 5)},
		"reserved bit":   {nil, fromUpstream(0xC2, 5)},
		"opcode":         {fromUpstream(0x82, 3), fromUpstream(0x83, 5)},
		"length of 2^63": {nil, []byte{0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0}},
		"continuation":   {fromUpstream(0x82, 3), fromUpstream(0x80, 5)},
		"P10 close 1006": {fromUpstream(0x82, 3), []byte{0x88, 0x02, 0x03, 0xEE}},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w transport) {
				w.grace = time.Minute // the upstream must not wait for it
				g := newRig(t, w, Pair{})
				received := make(chan struct{})
				go func() {
					defer close(received)
					g.client.wantGets(tc.good, badGateway)
					g.client.wantEnd()
				}()
				start := time.Now()
				g.upstream.send(tc.good, tc.bad)
				g.upstream.wantCut()
				receive(t, received)
				g.client.hangUp()
				g.waitClosed(TheUpstream, "bad_gateway")
				if d := time.Since(start); w.pipe && d > 0 {
					t.Errorf("the tunnel closed after %v, want at once", d)
				}
			})
		})
	}
}

// TestNoBoundsForTheUpstream checks that no limit applies to the upstream,
// which belongs to the operator.
func TestNoBoundsForTheUpstream(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{MaxFrame: 10, MaxMessage: 10})
		all := append(fromUpstream(0x82, 5000), bytes.Repeat(fromUpstream(0x89, 0), 500)...)
		go g.upstream.send(all)
		g.client.wantGets(all)
	})
}
