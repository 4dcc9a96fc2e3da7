package wsconn

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const chosen = "\r\nSec-WebSocket-Protocol: bearer"

// FuzzChoice checks that however the response header is split, all bytes of the
// handler arrive, and only a 101 without a subprotocol gets one more field.
func FuzzChoice(f *testing.F) {
	for _, s := range []string{
		"", "\r\n\r\n", switching + "\r\n\r\nabc", switching + "x\r\nA: b\r\n\r\n\r\n\r\n", switching + "x\r\nsec-websocket-protocol : b\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\nabc", switching + "\r\n", switching + "\r\r\n\r\n", "\r\n\r\n" + switching + "\r\n\r\n", switching + strings.Repeat("a", maxHeldHead),
	} {
		f.Add(s, 1)
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, sent string, size int) {
		c := &choice{subprotocol: "bearer"}
		if size < 1 {
			size = len(sent) + 1
		}
		var got strings.Builder
		passed := false
		for rest := sent; rest != ""; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			if passed {
				got.WriteString(piece)
				continue
			}
			var out []byte
			out, passed = c.decide([]byte(piece))
			got.Write(out)
		}
		if !passed {
			if len(sent) > maxHeldHead || strings.Contains(sent, headEnd) || got.Len() > 0 {
				t.Errorf("%q is held back", sent)
			}
			return
		}
		want := sent
		if end := strings.Index(sent, headEnd); end >= 0 && strings.HasPrefix(sent, switching) && !selectsSubprotocol(sent[:end]) {
			want = sent[:end] + chosen + sent[end:]
		}
		if got := got.String(); got != want && (len(sent) <= maxHeldHead || got != sent) {
			t.Errorf("%q in pieces of %d: sent %q", sent, size, got)
		}
	})
}

// TestChoiceWhileEnding checks that a socket that ends while the handler writes
// the response header gets all of it, with the subprotocol, and then the close
// frame.
func TestChoiceWhileEnding(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	c := New(server, func() {})
	c.ChooseSubprotocol("bearer")
	const head = switching + "Switching Protocols\r\nA: b"
	if n, err := c.Write([]byte(head[:20])); n != 20 || err != nil {
		t.Fatalf("got %d, %v, want 20", n, err)
	}
	told := make(chan struct{})
	c.End(errors.New("over"), []byte("\x88\x00"), func() { close(told) })
	<-told
	go func() {
		_, _ = c.Write([]byte(head[20:] + headEnd + "\x81\x05hello"))
	}()
	want := head + chosen + headEnd
	got := make([]byte, len(want)+2)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != want+"\x88\x00" {
		t.Errorf("got %q, %v", got, err)
	}
}
