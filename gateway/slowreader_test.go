package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// dialRawTLS opens a connection for what no client would send.
func (r *rig) dialRawTLS() net.Conn {
	r.t.Helper()
	trust := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = []string{"http/1.1"}
	conn := must(tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), trust))
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// hurriedUpstream sends much and a close frame on each socket, and closes
// the connection without waiting for anything.
func hurriedUpstream(t *testing.T, stream []byte) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			wsframe.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
		_, sent := conn.Write(stream)
		if err := errors.Join(err, sent, conn.Close()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestG15_SlowReadersGetEverything: an upstream sends much, says that it
// closes, and is gone while most of it is still on its way. A client that
// reads slowly and sends pongs, to the gateway's pings and besides, gets every
// byte and the close frame.
func TestG15_SlowReadersGetEverything(t *testing.T) {
	const frameSize, frames, pause, piece = 50_000, 240, 10 * time.Millisecond, 60_000 // 12 MB at 6 MB/s, more than kernels hold
	frame := append([]byte{0x82, 126}, binary.BigEndian.AppendUint16(nil, frameSize)...)
	frame = append(frame, bytes.Repeat([]byte("x"), frameSize)...)
	stream := append(bytes.Repeat(frame, frames), 0x88, 2, 3, 232)
	upstream := hurriedUpstream(t, stream)
	routes := func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: []string{upstream.URL}, Limits: RouteLimits{Ping: time.Second}}}
	}
	for name, open := range map[string]func(*testing.T) (*rig, net.Conn){
		"event loop": func(t *testing.T) (*rig, net.Conn) {
			r := start(t, routes)
			conn := r.connect()
			_ = conn.(*net.TCPConn).SetReadBuffer(1 << 16)
			return r, conn
		},
		"TLS": func(t *testing.T) (*rig, net.Conn) {
			r, _ := overTLS(t, routes)
			conn := r.dialRawTLS()
			_ = conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(1 << 16)
			return r, conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, conn := open(t)
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			access, _ := r.login()
			must(fmt.Fprintf(conn, "GET /stream HTTP/1.1\r\n%s%s\r\n\r\n", socketFields, bearer(access)))
			in := bufio.NewReaderSize(conn, 4096)
			if answer := must(http.ReadResponse(in, nil)); answer.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(answer.Status)
			}
			var got bytes.Buffer
			for {
				_, err := io.CopyN(&got, in, piece)
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
			whole := bytes.ReplaceAll(got.Bytes(), []byte{0x89, 0}, nil) // the gateway's pings
			if !bytes.Equal(whole, stream) {
				t.Errorf("%d bytes came, want %d", len(whole), len(stream))
			}
		})
	}
}
