package gateway

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"net/http"
	"strings"
	"testing"

	"wsauth/internal/wsframe"
)

// deflated returns a masked text message compressed with permessage-deflate
// (RFC 7692 section 7.2.1).
func deflated(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := must(flate.NewWriter(&out, flate.BestCompression))
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	frame := wsframe.AppendMaskedText(nil, bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xFF, 0xFF}))
	frame[0] |= 0x40 // RSV1
	return frame
}

// TestCompressionIsKept checks that both ends can negotiate compression and
// that their messages pass unchanged.
func TestCompressionIsKept(t *testing.T) {
	r := serveBehind(t, newBackend(t))
	access, _ := r.Login()
	conn := r.handshake("/chat", bearer(access)+"\r\nSec-WebSocket-Extensions: permessage-deflate")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Fatalf("agreed on %q", got)
	}
	text := strings.Repeat("hello ", 1000)
	if _, err := conn.Write(deflated(t, text)); err != nil {
		t.Fatal(err)
	}
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil || head[0] != 0xC1 || head[1] >= 126 {
		t.Fatalf("% x, %v: want a short compressed text", head, err)
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(in, payload); err != nil {
		t.Fatal(err)
	}
	tail := []byte{0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF} // what was cut off, and the end of the stream
	got, err := io.ReadAll(flate.NewReader(bytes.NewReader(append(payload, tail...))))
	if err != nil || string(got) != text {
		t.Errorf("%d bytes come back as %d, %v", len(text), len(got), err)
	}
}

// TestCompressionWithoutNegotiation checks that a compressed message is a
// protocol error of the client if compression was not negotiated.
func TestCompressionWithoutNegotiation(t *testing.T) {
	r := serveBehind(t, newBackend(t))
	access, _ := r.Login()
	conn := r.handshake("/chat", bearer(access))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatal(resp, err)
	}
	if _, err := conn.Write(deflated(t, "hello")); err != nil {
		t.Fatal(err)
	}
	var end [4]byte
	if _, err := io.ReadFull(in, end[:]); err != nil || end[0] != 0x88 || end[2] != 1002>>8 || end[3] != 1002&0xFF {
		t.Errorf("% x, %v: no close frame of 1002", end, err)
	}
}
