package attack

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
)

// dialTLS opens a TLS connection for HTTP/1.1.
func (x *gatewayTarget) dialTLS(t *testing.T) *tls.Conn {
	t.Helper()
	config := x.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName, config.NextProtos = "127.0.0.1", []string{"http/1.1"}
	conn := tls.Client(dial(t, x.addr), config)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestG15_SlowReadersGetEverything checks that a client that reads slowly, but
// sends pongs, gets every byte and the close frame. Its upstream sends much
// data and a close frame, and disconnects at once.
func TestG15_SlowReadersGetEverything(t *testing.T) {
	const frameSize, frames, pause, piece = 50_000, 240, 10 * time.Millisecond, 60_000 // 12 MB at 6 MB/s, more than kernels hold
	frame := append([]byte{0x82, 126}, binary.BigEndian.AppendUint16(nil, frameSize)...)
	frame = append(frame, bytes.Repeat([]byte("x"), frameSize)...)
	stream := append(bytes.Repeat(frame, frames), 0x88, 2, 3, 232)
	config := gateway.Config{Routes: []proxy.Route{{Path: "/", Limits: proxy.RouteLimits{Ping: time.Second}}}}
	handler := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.WriteString(conn, switching()(r))
		_, sent := conn.Write(stream)
		if err := errors.Join(err, sent, conn.Close()); err != nil {
			t.Error(err)
		}
	}
	for name, open := range map[string]func(*testing.T) net.Conn{
		"event_loop": func(t *testing.T) net.Conn { return dial(t, newGatewayOf(t, config, handler).addr) },
		"TLS":        func(t *testing.T) net.Conn { return newGatewayOverTLS(t, config, handler).dialTLS(t) },
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t)
			plainConn := conn
			if secure, ok := conn.(*tls.Conn); ok {
				plainConn = secure.NetConn()
			}
			_ = plainConn.(*net.TCPConn).SetReadBuffer(1 << 16)
			a := ask(t, conn, upgrade("/stream", bearer(gatewayToken(t))))
			if a.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(a.Status)
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			var got bytes.Buffer
			for {
				_, err := io.CopyN(&got, a.in, piece)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%d of %d bytes: %v", got.Len(), len(stream), err)
				}
				if got.Len() < len(stream) {
					_, _ = conn.Write([]byte{0x8A, 0x80, 1, 2, 3, 4})
					time.Sleep(pause)
				}
			}
			whole := bytes.ReplaceAll(got.Bytes(), []byte{0x89, 0}, nil) // without the gateway's pings
			if !bytes.Equal(whole, stream) {
				t.Errorf("%d bytes came, want %d", len(whole), len(stream))
			}
		})
	}
}
