package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wsframe"
)

// TestFrameLimitOfARoute checks that MaxFrame limits each frame, and not the
// message.
func TestFrameLimitOfARoute(t *testing.T) {
	r := serveBehind(t, newBackend(t), func(c *Config) { c.Routes[0].Limits = proxy.RouteLimits{MaxFrame: 100} })
	access, _ := r.Login()
	conn := r.handshake("/chat", bearer(access))
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	half := wsframe.AppendMaskedText(nil, []byte(strings.Repeat("x", 60)))
	first, second := slices.Clone(half), half
	first[0], second[0] = 0x01, 0x80 // the first and the last fragment of a text
	if _, err := conn.Write(slices.Concat(first, second)); err != nil {
		t.Fatal(err)
	}
	echo := wsframe.AppendText(nil, []byte(strings.Repeat("x", 120)))
	got := make([]byte, len(echo))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, echo) {
		t.Fatalf("% x, %v", got, err)
	}
	other := r.socket("/chat", bearer(access))
	r.WantEcho(other, strings.Repeat("y", 100))
	r.Write(other, strings.Repeat("y", 101))
	r.WantClose(other, 1009, "message_too_big: limits.max_frame")
}

// TestPingOfARoute checks that the gateway sends two pings to a silent client,
// and ends its socket after three times the interval.
func TestPingOfARoute(t *testing.T) {
	t.Parallel() // it waits for three seconds
	r := serveBehind(t, newBackend(t), func(c *Config) { c.Routes[0].Limits = proxy.RouteLimits{Ping: proxy.MinPing} })
	access, _ := r.Login()
	conn := r.handshake("/chat", bearer(access))
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	want := strings.Repeat(wsframe.Ping, 2) + string(wsframe.AppendClose(nil, 3008, "idle_timeout"))
	if got, err := io.ReadAll(in); string(got) != want {
		t.Errorf("% x, %v, want % x", got, err, want)
	}
}

// TestNoSizeLimitsByDefault checks that large uploads and messages, such as
// those of notebooks, pass by default. The gateway does not buffer them.
func TestNoSizeLimitsByDefault(t *testing.T) {
	r := serveBehind(t, newBackend(t))
	access, _ := r.Login()
	conn := r.socket("/chat", bearer(access))
	conn.SetReadLimit(-1)
	r.WantEcho(conn, strings.Repeat("x", 1_200_000))
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/public/upload", bytes.NewReader(make([]byte, 3<<20))))
	resp, err := r.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("an upload of 3 MiB: %s", resp.Status)
	}
}

// TestFragmentLimitOfARoute checks that a message may consist of many small
// fragments, but not of very many empty ones. The reason names the setting.
func TestFragmentLimitOfARoute(t *testing.T) {
	r := serveBehind(t, newBackend(t), func(c *Config) { c.Routes[0].Limits = proxy.RouteLimits{MaxFragments: 3} })
	access, _ := r.Login()
	conn := r.handshake("/chat", bearer(access))
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	piece := wsframe.AppendMaskedText(nil, []byte(strings.Repeat("x", 32)))
	empty := wsframe.AppendMaskedText(nil, nil)
	piece[0], empty[0] = 0x00, 0x00
	first, last := slices.Clone(piece), slices.Clone(piece)
	first[0], last[0] = 0x01, 0x80
	many := slices.Concat(first, bytes.Repeat(piece, 98), last) // 100 frames of 32 bytes
	if _, err := conn.Write(many); err != nil {
		t.Fatal(err)
	}
	echo := wsframe.AppendText(nil, []byte(strings.Repeat("x", 3200)))
	got := make([]byte, len(echo))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, echo) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	first = wsframe.AppendMaskedText(nil, nil)
	first[0] = 0x01
	if _, err := conn.Write(slices.Concat(first, bytes.Repeat(empty, 3))); err != nil {
		t.Fatal(err)
	}
	want := wsframe.AppendClose(nil, 1008, "too_many_fragments: limits.max_fragments")
	if got, err := io.ReadAll(in); !bytes.Equal(got, want) {
		t.Errorf("% x, %v, want % x", got, err, want)
	}
}
