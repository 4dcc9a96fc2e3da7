package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// sayHello sends a message with control characters, and closes the socket.
func sayHello(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	if conn.Write(r.Context(), websocket.MessageText, []byte("\x1b[31mhello\x07")) == nil {
		_ = conn.Close(websocket.StatusNormalClosure, "") // the client has received it, or the test fails
	}
}

// TestConnectEscapesForATerminal checks that the command detects whether its
// output is a terminal.
func TestConnectEscapesForATerminal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(sayHello))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	terminal, master := openTerminal(t)
	onTerminal := exec.CommandContext(ctx, "wsauth", "connect", server.URL)
	onTerminal.Stdout = terminal
	if err := onTerminal.Run(); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 100)
	n, err := master.Read(shown)
	if err != nil || string(shown[:n]) != `\u001b[31mhello\u0007`+"\r\n" {
		t.Errorf("got %q, %v", shown[:n], err)
	}
	piped, err := exec.CommandContext(ctx, "wsauth", "connect", server.URL).Output()
	if err != nil || string(piped) != "\x1b[31mhello\x07\n" {
		t.Errorf("got %q, %v, want %q", piped, err, "\x1b[31mhello\x07\n")
	}
}

// TestConnectOverTLS checks that an untrusted certificate is refused with
// advice, and that both flags work.
func TestConnectOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(sayHello))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, c := range []struct {
		flag, want string
		good       bool
	}{
		{"--json=false", "hint:       --ca=FILE trusts the issuer of a test server, --insecure-skip-verify anybody", false},
		{"--ca=" + ca, "open after", true},
		{"--insecure-skip-verify", "warning: any server certificate is accepted", true},
	} {
		cmd := exec.CommandContext(ctx, "wsauth", "connect", strings.Replace(server.URL, "https", "wss", 1), c.flag)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); (err == nil) != c.good || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: got %v, %s, want success: %v", c.flag, err, &stderr, c.good)
		}
	}
}
