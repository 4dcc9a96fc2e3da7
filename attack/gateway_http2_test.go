package attack

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
)

// TestH14_ExtendedCONNECT checks that sockets over HTTP/2 (RFC 8441) are
// neither offered nor accepted.
func TestH14_ExtendedCONNECT(t *testing.T) {
	for name, routes := range map[string][]proxy.Route{
		"demonstration": {},
		"guarded":       {{Path: "/"}},
		"public":        {{Path: "/", Public: true}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newGatewayOverTLS(t, gateway.Config{Routes: routes}, respond)
			x.extendedConnect(t)
			if seen := x.takeRequests(); len(seen) > 0 {
				t.Errorf("the backend got %q, want nothing", seen)
			}
		})
	}
}

// extendedConnect requests a socket by an extended CONNECT. The gateway must
// reset the stream.
func (x *gatewayTarget) extendedConnect(t *testing.T) {
	t.Helper()
	config := x.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", x.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const settings, fields, rstStream = 4, 1, 3 // RFC 9113 section 6
	block := []byte{}
	for _, field := range [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/ws"}, {":authority", host},
		{"sec-websocket-version", "13"}, {"origin", "https://" + host}, {"authorization", "Bearer " + gatewayToken(t)},
	} {
		block = appendLiteral(appendLiteral(append(block, 0), field[0]), field[1]) // RFC 7541 section 6.2.2
	}
	hello := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameHTTP2(settings, 0, 0, nil)...)
	if _, err := conn.Write(append(hello, frameHTTP2(fields, 4, 1, block)...)); err != nil {
		t.Fatal(err)
	}
	for {
		kind, stream, payload := readFrameHTTP2(t, conn)
		switch {
		case kind == settings:
			for p := payload; len(p) >= 6; p = p[6:] {
				if id := binary.BigEndian.Uint16(p); id == 8 { // RFC 8441 section 3
					t.Error("the extended CONNECT is offered")
				}
			}
		case kind == rstStream && stream == 1:
			return
		case kind == fields && stream == 1:
			t.Fatal("the request was answered, not refused")
		}
	}
}

// appendLiteral appends a string literal of HPACK, without Huffman coding (RFC
// 7541 section 5.2).
func appendLiteral(b []byte, s string) []byte {
	if len(s) < 127 {
		return append(append(b, byte(len(s))), s...)
	}
	b = append(b, 127)
	rest := len(s) - 127
	for ; rest >= 128; rest >>= 7 {
		b = append(b, byte(rest)|128)
	}
	return append(append(b, byte(rest)), s...)
}

// frameHTTP2 returns a frame of HTTP/2 (RFC 9113 section 4.1).
func frameHTTP2(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(b, flags), stream), payload...)
}

// readFrameHTTP2 reads the next frame.
func readFrameHTTP2(t *testing.T, from io.Reader) (kind byte, stream uint32, payload []byte) {
	t.Helper()
	head := make([]byte, 9)
	if _, err := io.ReadFull(from, head); err != nil {
		t.Fatal(err)
	}
	payload = make([]byte, binary.BigEndian.Uint32(head)>>8)
	if _, err := io.ReadFull(from, payload); err != nil {
		t.Fatal(err)
	}
	return head[3], binary.BigEndian.Uint32(head[5:]), payload
}
