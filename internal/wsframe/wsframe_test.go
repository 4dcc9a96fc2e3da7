package wsframe

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestAcceptKey checks the example of RFC 6455 section 1.3.
func TestAcceptKey(t *testing.T) {
	if got, want := AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Errorf("AcceptKey = %q, want %q", got, want)
	}
}

func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		"dGhlIHNhbXBsZSBub25jZQ==":  true,
		"":                          false,
		"dGhlIHNhbXBsZSBub25j":      false, // 15 bytes
		"dGhlIHNhbXBsZSBub25jZWU=":  false, // 17 bytes
		"dGhlIHNhbXBsZSBub25jZWVl":  false, // 18 bytes
		"!!hlIHNhbXBsZSBub25jZQ==":  false,
		"dGhlIHNhbXBsZSBub25jZQ\n=": false,
		" dGhlIHNhbXBsZSBub25jZQ==": false,
	} {
		if got := ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestAppendClose(t *testing.T) {
	got := AppendClose(nil, 3000, "token_expired")
	want := append([]byte{0x88, 15, 0x0B, 0xB8}, "token_expired"...)
	if !bytes.Equal(got, want) {
		t.Errorf("AppendClose = % x, want % x", got, want)
	}
	long := AppendClose(nil, 1000, strings.Repeat("é", 100))
	if n := int(long[1]); n > 125 || len(long) != n+2 || !utf8.Valid(long[4:]) {
		t.Errorf("a long reason gives a frame of length %d (%d bytes), valid UTF-8 %v; want at most 125, valid", n, len(long), utf8.Valid(long[4:]))
	}
}

// frame returns a frame by RFC 6455 section 5.2, independently of the code
// under test.
func frame(op byte, mask bool, size int) []byte {
	b := []byte{fin | op}
	var m byte
	if mask {
		m = masked
	}
	switch {
	case size < 126:
		b = append(b, m|byte(size))
	case size < 1<<16:
		b = append(b, m|126)
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b = append(b, m|127)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	if mask {
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, bytes.Repeat([]byte{0x88}, size)...)
}

func TestTrackerFindsEveryBoundary(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, mask := range []bool{false, true} {
			f := frame(2, mask, size)
			var tr Tracker
			for i, b := range f {
				if i > 0 && tr.Boundary() {
					t.Fatalf("size %d mask %v: boundary after %d of %d bytes", size, mask, i, len(f))
				}
				tr.Advance([]byte{b})
			}
			if !tr.Boundary() {
				t.Errorf("size %d mask %v: no boundary after the frame", size, mask)
			}
			if tr.Closed() {
				t.Errorf("size %d mask %v: Closed after a binary frame", size, mask)
			}
		}
	}
}

func TestTrackerLength63(t *testing.T) { // P5: a length that exceeds any memory
	var tr Tracker
	tr.Advance([]byte{0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	tr.Advance(make([]byte, 1<<16))
	if n, ok := tr.ToBoundary(make([]byte, 100)); ok || n != 100 {
		t.Errorf("inside an endless frame: ToBoundary = %d, %v, want 100, false", n, ok)
	}
}

// FuzzTracker checks that however a stream of frames is split into writes, the
// Tracker is at a boundary exactly between frames, and ToBoundary returns it.
func FuzzTracker(f *testing.F) {
	f.Add([]byte{0, 5, 200}, uint8(3), uint8(1))
	f.Add([]byte{255, 130, 7, 8}, uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, sizes []byte, cut, op uint8) {
		var stream []byte
		ends := map[int]bool{0: true}
		closeFrom := -1
		for i, s := range sizes[:min(len(sizes), 8)] {
			o := (op + uint8(i)) & opcode
			if o == opClose && closeFrom < 0 {
				closeFrom = len(stream)
			}
			stream = append(stream, frame(o, s&1 != 0, int(s)*7)...)
			ends[len(stream)] = true
		}
		var tr Tracker
		step := int(cut)%17 + 1
		for at := 0; at < len(stream); {
			if tr.Boundary() != ends[at] {
				t.Fatalf("at %d of %d: boundary %v, want %v", at, len(stream), tr.Boundary(), ends[at])
			}
			n, ok := tr.ToBoundary(stream[at:])
			if !ok || !ends[at+n] {
				t.Fatalf("at %d: ToBoundary = %d, %v, want the end of a frame", at, n, ok)
			}
			end := min(at+step, len(stream))
			tr.Advance(stream[at:end])
			at = end
		}
		if !tr.Boundary() || tr.Closed() != (closeFrom >= 0) {
			t.Fatalf("at the end: boundary %v, closed %v, want true, %v", tr.Boundary(), tr.Closed(), closeFrom >= 0)
		}
	})
}

func BenchmarkTracker1KiB(b *testing.B) {
	f := frame(2, false, 1024)
	var tr Tracker
	b.ReportAllocs()
	for b.Loop() {
		tr.Advance(f)
	}
}
