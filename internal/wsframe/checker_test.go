package wsframe

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// head returns a frame header. Its extended payload length has extended bytes:
// 0, 2 or 8. It has a masking key if mask is set.
func head(first byte, mask bool, size uint64, extended int) []byte {
	b := []byte{first, 0}
	switch extended {
	case 0:
		b[1] = byte(size)
	case 2:
		b[1] = length16
		b = append(b, byte(size>>8), byte(size))
	case 8:
		b[1] = length64
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(size>>shift))
		}
	}
	if mask {
		b[1] |= masked
		b = append(b, 9, 8, 7, 6)
	}
	return b
}

// masks returns a client's frame with a payload of n bytes.
func masks(first byte, n int) []byte {
	extended := 0
	switch {
	case n > math.MaxUint16:
		extended = 8
	case n > 125:
		extended = 2
	}
	return append(head(first, true, uint64(n), extended), make([]byte, n)...)
}

// closing returns a client's close frame.
func closing(code uint16, reason string) []byte {
	b := head(0x88, true, uint64(2+len(reason)), 0)
	key := b[len(b)-4:]
	payload := append([]byte{byte(code >> 8), byte(code)}, reason...)
	mask(payload, key)
	return append(b, payload...)
}

func TestCheckerOfAClient(t *testing.T) {
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	text, last := masks(0x81, 5), masks(0x80, 1)
	for name, tc := range map[string]struct {
		c     Checker
		good  []byte // passes
		bad   []byte // does not
		fault *Fault
	}{
		"plain":                    {good: cat(text, masks(0x82, 126), masks(0x82, 65535), masks(0x82, 65536))},
		"empty":                    {good: masks(0x81, 0)},
		"fragments":                {good: cat(masks(0x01, 5), masks(0x89, 0), masks(0x00, 0), last, text)},
		"control frames":           {good: cat(masks(0x89, 125), masks(0x8A, 3), closing(1000, ""))},
		"after a close":            {good: masks(0x88, 0), bad: []byte{0xFF, 0xFF, 0xFF}},
		"P6 unmasked":              {good: text, bad: head(0x81, false, 5, 0), fault: ProtocolError},
		"P7 RSV1":                  {good: text, bad: masks(0xC1, 5), fault: ProtocolError},
		"P7 RSV2":                  {bad: masks(0xA1, 5), fault: ProtocolError, c: Checker{Deflate: true}},
		"P7 RSV3":                  {bad: masks(0x91, 5), fault: ProtocolError, c: Checker{Deflate: true}},
		"P7 RSV1 and RSV2":         {bad: masks(0xE1, 5), fault: ProtocolError, c: Checker{Deflate: true}},
		"deflate":                  {good: cat(masks(0xC1, 5), masks(0x42, 5), last), c: Checker{Deflate: true}},
		"P7 RSV1 of a fragment":    {good: masks(0x41, 5), bad: masks(0xC0, 5), fault: ProtocolError, c: Checker{Deflate: true}},
		"P7 RSV1 of a ping":        {bad: masks(0xC9, 5), fault: ProtocolError, c: Checker{Deflate: true}},
		"P7 opcode 3":              {bad: masks(0x83, 5), fault: ProtocolError},
		"P7 opcode 7":              {bad: masks(0x87, 5), fault: ProtocolError},
		"P7 opcode B":              {bad: masks(0x8B, 5), fault: ProtocolError},
		"P7 opcode F":              {bad: masks(0x8F, 5), fault: ProtocolError},
		"continuation of nothing":  {good: text, bad: last, fault: ProtocolError},
		"message in a message":     {good: masks(0x01, 1), bad: text, fault: ProtocolError},
		"P9 ping of 126 bytes":     {bad: masks(0x89, 126), fault: ProtocolError},
		"P9 ping of 8-byte length": {bad: head(0x89, true, 1<<20, 8), fault: ProtocolError},
		"P9 fragmented ping":       {bad: masks(0x09, 1), fault: ProtocolError},
		"close of 1 byte":          {bad: masks(0x88, 1), fault: ProtocolError},
		"close 1005":               {good: text, bad: closing(1005, ""), fault: ProtocolError},
		"close 1006":               {good: text, bad: closing(1006, "bye"), fault: ProtocolError},
		"close 999":                {good: text, bad: closing(999, ""), fault: ProtocolError},
		"close 2999":               {good: text, bad: closing(2999, ""), fault: ProtocolError},
		"close 65535":              {good: text, bad: closing(65535, ""), fault: ProtocolError},
		"close reason":             {good: text, bad: closing(1000, "\xc3\x28"), fault: InvalidText},
		"125 in 2 bytes":           {bad: head(0x82, true, 125, 2), fault: ProtocolError},
		"0 in 8 bytes":             {bad: head(0x82, true, 0, 8), fault: ProtocolError},
		"65535 in 8 bytes":         {bad: head(0x82, true, 65535, 8), fault: ProtocolError},
		"P5 2^63":                  {bad: head(0x82, true, 1<<63, 8), fault: ProtocolError},
		"P5 2^64-1":                {bad: head(0x82, true, math.MaxUint64, 8), fault: ProtocolError},
		"P5 2^63-1":                {bad: head(0x82, true, 1<<63-1, 8), fault: FrameTooLong},
		"P5 2 GiB and 1":           {bad: head(0x82, true, 2<<30+1, 8), fault: FrameTooLong, c: Checker{MaxFrame: math.MaxInt64}},
		"P5 2 GiB":                 {good: head(0x82, true, 2<<30, 8)},
		"P5 2^63-1, bounded":       {bad: head(0x82, true, 1<<63-1, 8), fault: FrameTooLong, c: Checker{MaxFrame: 100}},
		"P5 2^63-1 and 5":          {good: masks(0x01, 5), bad: head(0x80, true, 1<<63-1, 8), fault: FrameTooLong, c: Checker{MaxMessage: math.MaxInt64}},
		"frame bound":              {good: masks(0x82, 200), bad: masks(0x82, 201), fault: FrameTooBig, c: Checker{MaxFrame: 200}},
		"message bound":            {good: cat(masks(0x82, 200), masks(0x02, 150), masks(0x00, 50)), bad: last, fault: MessageTooBig, c: Checker{MaxMessage: 200}},
		"P4 empty fragments":       {good: cat(masks(0x01, 1), bytes.Repeat(masks(0x00, 0), MaxFragments-1)), bad: masks(0x00, 0), fault: TooManyFragments, c: Checker{MaxFragments: MaxFragments}},
		"P4 fragments of 1 byte":   {good: cat(masks(0x01, 1), bytes.Repeat(masks(0x00, 1), 16912-1)), bad: masks(0x00, 1), fault: TooManyFragments, c: Checker{MaxFragments: MaxFragments}},
		"P4 few, by a limit":       {good: cat(masks(0x01, 32), masks(0x00, 1), masks(0x00, 1)), bad: masks(0x00, 1), fault: TooManyFragments, c: Checker{MaxFragments: 2}},
		"4 MiB in 64 bytes each":   {good: cat(masks(0x02, 64), bytes.Repeat(masks(0x00, 64), 65534), masks(0x80, 64)), c: Checker{MaxFragments: MaxFragments}},
		"131,000 without a limit":  {good: cat(masks(0x01, 1), bytes.Repeat(masks(0x00, 1), 131_000))},
		"the next message":         {good: cat(masks(0x01, 0), masks(0x80, 0), masks(0x01, 0), masks(0x80, 0)), c: Checker{MaxFragments: 2}},
		"P9 flood":                 {good: bytes.Repeat(masks(0x89, 0), controlBurst), bad: masks(0x8A, 0), fault: TooManyControls},
	} {
		t.Run(name, func(t *testing.T) {
			tc.c.Client = true
			stream := cat(tc.good, tc.bad)
			n, fault := tc.c.Check(stream, time.Hour)
			if n != len(tc.good) || fault != tc.fault {
				t.Errorf("%d bytes pass, %v; want %d, %v", n, fault, len(tc.good), tc.fault)
			}
		})
	}
}

func TestCheckerOfAServer(t *testing.T) {
	c := Checker{MaxFrame: 1, MaxMessage: 1}
	good := append(frame(2, false, 70000), bytes.Repeat(frame(9, false, 0), 2*controlBurst)...)
	n, fault := c.Check(append(good, masks(0x82, 1)...), 0)
	if n != len(good) || fault != ProtocolError {
		t.Errorf("%d bytes pass, %v; want %d, and a masked frame a fault", n, fault, len(good))
	}
}

// TestCheckerControlRate checks that a client may send a hundred control frames
// a second without end, and a hundred at once after a silence.
func TestCheckerControlRate(t *testing.T) {
	c := Checker{Client: true}
	ping := masks(0x89, 0)
	now := time.Duration(0)
	for i := range 1000 {
		if _, fault := c.Check(ping, now); fault != nil {
			t.Fatalf("ping %d: %v, want no fault", i, fault)
		}
		now += controlEvery
	}
	now += time.Hour
	n, fault := c.Check(bytes.Repeat(ping, controlBurst+1), now)
	if n != len(ping)*controlBurst || fault != TooManyControls {
		t.Errorf("%d pings at once pass, %v, want %d, %v", n/len(ping), fault, controlBurst, TooManyControls)
	}
}

// TestP10_CloseInPieces checks that however a close frame is split, it is
// checked before its last byte passes.
func TestP10_CloseInPieces(t *testing.T) {
	for _, tc := range []struct {
		frame []byte
		fault *Fault
	}{
		{closing(1000, "bye"), nil},
		{closing(3000, strings.Repeat("\u00e9", 61)), nil},
		{closing(1006, "bye"), ProtocolError},
		{closing(1001, "bye\xc3"), InvalidText},
	} {
		for cut := range len(tc.frame) {
			c := Checker{Client: true}
			first, fault := c.Check(tc.frame[:cut], 0)
			if fault != nil {
				t.Fatalf("got %v after %d bytes, want no fault", fault, cut)
			}
			rest, fault := c.Check(tc.frame[first:], 0)
			if fault != tc.fault {
				t.Errorf("cut at %d: %v, want %v", cut, fault, tc.fault)
			}
			if whole := first+rest == len(tc.frame); whole != (tc.fault == nil) {
				t.Errorf("cut at %d: %d of %d bytes pass, want all: %v", cut, first+rest, len(tc.frame), tc.fault == nil)
			}
		}
	}
}

func TestCheckerCounts(t *testing.T) {
	c := Checker{Client: true}
	c.Check(bytes.Join([][]byte{masks(0x01, 1), masks(0x89, 1), masks(0x80, 1), masks(0x82, 1), masks(0x02, 1), masks(0x88, 0)}, nil), 0)
	if c.Messages() != 2 || !c.Closed() || !c.Boundary() {
		t.Errorf("%d messages, closed %v, boundary %v, want 2, true, true", c.Messages(), c.Closed(), c.Boundary())
	}
}

func TestAppendMasked(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	got := AppendMasked(nil, AppendClose(nil, 1000, "bye"), key)
	want := []byte{0x88, 0x85, 1, 2, 3, 4, 0x03 ^ 1, 0xE8 ^ 2, 'b' ^ 3, 'y' ^ 4, 'e' ^ 1}
	if !bytes.Equal(got, want) {
		t.Errorf("AppendMasked = % x, want % x", got, want)
	}
}

// wellFormed is another implementation of Checker, for comparison: it gets the
// whole stream, reads one frame after another, and checks each rule separately.
// It returns the bytes that may pass.
func wellFormed(s []byte, c Checker) (pass int, fault *Fault) {
	pings, frames, sum := 0, 0, 0.0
	at := 0
	for at+2 <= len(s) {
		finished, op := s[at]>>7 == 1, s[at]%16
		isControl, isMasked := op >= 8, s[at+1]>>7 == 1
		size, head := float64(s[at+1]%128), 2
		switch {
		case isMasked != c.Client:
			return at, ProtocolError
		case s[at]>>4%8 != 0 && (s[at]>>4%8 != 4 || !c.Deflate || op != 1 && op != 2):
			return at, ProtocolError
		case !strings.ContainsRune("\x00\x01\x02\x08\x09\x0A", rune(op)):
			return at, ProtocolError
		case isControl && (!finished || size > 125):
			return at, ProtocolError
		case op == 8 && size == 1:
			return at, ProtocolError
		case op == 0 && frames == 0, (op == 1 || op == 2) && frames > 0:
			return at, ProtocolError
		}
		bytesOf := map[float64]int{126: 2, 127: 8}[size]
		if isMasked {
			head = 6
		}
		head += bytesOf
		if at+head > len(s) {
			return at, nil
		}
		if bytesOf > 0 {
			size = 0
			for _, b := range s[at+2 : at+2+bytesOf] {
				size = size*256 + float64(b)
			}
			if size < map[int]float64{2: 126, 8: 65536}[bytesOf] || s[at+2] > 127 && bytesOf == 8 {
				return at, ProtocolError
			}
		}
		if isControl {
			if pings++; pings > 100 && c.Client {
				return at, TooManyControls
			}
		} else {
			frames, sum = frames+1, sum+size
			switch {
			case !c.Client:
			case size > 1<<31:
				return at, FrameTooLong
			case c.MaxMessage > 0 && sum > float64(c.MaxMessage):
				return at, MessageTooBig
			case c.MaxFrame > 0 && size > float64(c.MaxFrame):
				return at, FrameTooBig
			case c.MaxFragments > 0 && frames > c.MaxFragments+int(sum)/32:
				return at, TooManyFragments
			}
			if finished {
				frames, sum = 0, 0
			}
		}
		if float64(len(s)-at-head) < size {
			return len(s), nil
		}
		if op == 8 && size > 0 {
			payload := bytes.Clone(s[at+head : at+head+int(size)])
			if isMasked {
				mask(payload, s[at+head-4:at+head])
			}
			code := int(payload[0])*256 + int(payload[1])
			switch {
			case code < 1000 || code > 4999 || slices.Contains([]int{1004, 1005, 1006}, code) || code > 1014 && code < 3000:
				return at, ProtocolError
			case !utf8.Valid(payload[2:]):
				return at, InvalidText
			}
		}
		at += head + int(size)
		if op == 8 {
			return at, nil
		}
	}
	return at, nil
}

// FuzzChecker checks that for any stream, however it is split, the Checker
// returns the same fault as wellFormed and passes the same bytes. A Tracker of
// the passed bytes is at a boundary whenever the Checker is.
func FuzzChecker(f *testing.F) {
	for _, seed := range [][]byte{
		masks(0x81, 5), append(masks(0x01, 5), masks(0x80, 300)...), masks(0xC1, 5), frame(2, false, 130),
		head(0x82, true, 1<<63-1, 8), head(0x82, false, 1<<63, 8), head(0x82, true, 125, 2),
		append(closing(1000, ""), 1, 2, 3), closing(1005, ""), closing(1000, "\xc3\x28"), closing(4999, "\u2713"), bytes.Repeat(masks(0x89, 0), 102), masks(0x09, 1), masks(0x88, 1),
	} {
		for _, cut := range []uint8{0, 3, 200} {
			f.Add(seed, cut, true, true, int64(100), int64(200))
			f.Add(seed, cut, false, false, int64(0), int64(0))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8, client, deflate bool, maxFrame, maxMessage int64) {
		c := Checker{Client: client, Deflate: deflate, MaxFrame: maxFrame & math.MaxInt32, MaxMessage: maxMessage & math.MaxInt32, MaxFragments: int(maxMessage>>32) & 3}
		want, wantFault := wellFormed(stream, c)
		var tracker Tracker
		var fault *Fault
		passed := 0 // bytes passed so far
		for end := 0; end < len(stream) && fault == nil; {
			end = min(end+int(cut)+1, len(stream))
			var n int
			n, fault = c.Check(stream[passed:end], 0)
			tracker.Advance(stream[passed : passed+n])
			passed += n
			if tracker.Boundary() != c.Boundary() || tracker.Closed() != c.Closed() || tracker.left != c.left {
				t.Fatalf("after %d bytes: boundary %v, closed %v, want those of a Tracker: %v, %v", passed, c.Boundary(), c.Closed(), tracker.Boundary(), tracker.Closed())
			}
			if c.Closed() && c.Boundary() {
				break
			}
			if fault == nil && end-passed >= MaxHead {
				t.Fatalf("%d bytes held back, want fewer than %d", end-passed, MaxHead)
			}
		}
		if wantFault != nil && want < len(stream) && stream[want] == 0x88 && passed > want && passed < want+2+4+maxControl {
			passed = want // a close frame in pieces: the first ones passed before the last one was found invalid
		}
		if passed != want || fault != wantFault {
			t.Fatalf("passed %d bytes, %v; want %d, %v", passed, fault, want, wantFault)
		}
	})
}

func BenchmarkChecker32B(b *testing.B)  { benchmarkChecker(b, 32) }
func BenchmarkChecker1KiB(b *testing.B) { benchmarkChecker(b, 1024) }

func benchmarkChecker(b *testing.B, size int) {
	f := masks(0x82, size)
	c := Checker{Client: true, MaxFrame: 1 << 20, MaxMessage: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		c.Check(f, 0)
	}
}

// withoutPongs returns a stream of whole client frames without its pongs.
func withoutPongs(s []byte) (rest []byte) {
	for len(s) > 0 {
		n, _ := payloadLen(s)
		size := headLen(s[1]) + int(n)
		if s[0]&opcode != opPong {
			rest = append(rest, s[:size]...)
		}
		s = s[size:]
	}
	return rest
}

// FuzzSkipPongs checks that for any frames in any pieces, exactly the pongs are
// dropped, and the passed bytes end at a boundary whenever the Checker says so.
func FuzzSkipPongs(f *testing.F) {
	f.Add([]byte{0x8A, 4, 0x82, 200, 0x8A, 0, 0x8A, 125, 0x89, 3, 0x8A, 1}, uint8(0))
	f.Add([]byte{0x01, 9, 0x8A, 125, 0x80, 9, 0x8A, 0}, uint8(6))
	f.Add([]byte{0x8A, 0, 0x8A, 0, 0x88, 0}, uint8(100))
	f.Fuzz(func(t *testing.T, frames []byte, cut uint8) {
		var stream []byte
		for fragmented := false; len(frames) > 1 && len(stream) < 1<<14; frames = frames[2:] {
			n := int(frames[1])
			switch first := []byte{0x82, 0x01, 0x80, 0x8A, 0x89, 0x8A}[frames[0]%6]; {
			case first >= 0x88:
				stream = append(stream, masks(first, n%126)...)
			case fragmented:
				stream = append(stream, masks(first&0x80, n)...)
				fragmented = first&0x80 == 0
			case first == 0x80:
			default:
				stream = append(stream, masks(first, n)...)
				fragmented = first == 0x01
			}
		}
		want := withoutPongs(stream)
		c, passed := Checker{Client: true, SkipPongs: true}, []byte(nil)
		var tracker Tracker
		var waiting []byte
		for now := time.Duration(0); len(stream) > 0; now += time.Second {
			n := min(int(cut)+1, len(stream))
			waiting, stream = append(waiting, stream[:n]...), stream[n:]
			for skip := 1; skip > 0; {
				pass, fault := c.Check(waiting, now)
				if fault == TooManyControls {
					return
				}
				if fault != nil {
					t.Fatal(fault)
				}
				tracker.Advance(waiting[:pass])
				if tracker.Boundary() != c.Boundary() || tracker.Boundary() != (c.Tracker() == Tracker{}) {
					t.Fatalf("boundary %v, want %v as in a Tracker", c.Boundary(), tracker.Boundary())
				}
				passed = append(passed, waiting[:pass]...)
				skip = c.Skip()
				waiting = waiting[pass+skip:]
			}
			if len(waiting) >= MaxHead {
				t.Fatalf("%d bytes held back, want fewer than %d", len(waiting), MaxHead)
			}
		}
		if !bytes.Equal(passed, want) {
			t.Fatalf("passed % x, want % x", passed, want)
		}
	})
}
