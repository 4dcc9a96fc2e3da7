package seedtest

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// CheckHandshake fails the test unless the server refuses malformed handshakes,
// and those of other sites, with an HTTP response. path and fields are those of
// a valid handshake.
func CheckHandshake(t *testing.T, server *Server, path string, fields ...string) {
	t.Helper()
	const method, body = "GET", ""
	for name, tt := range map[string]struct {
		method, body, field string // replace the valid ones
		status              int
		detail              string
	}{
		"good":            {method, body, "", 101, ""},
		"another site":    {method, body, "Origin: https://evil.example", 403, "Origin not allowed"},
		"another port":    {method, body, "Origin: http://127.0.0.1:1", 403, "Origin not allowed"},
		"no site":         {method, body, "Origin: null", 403, "Origin not allowed"},
		"POST":            {"POST", body, "", 405, "Method Not Allowed"},
		"a body":          {method, "x", "Content-Length: 1", 400, "A WebSocket handshake has no body"},
		"another version": {method, body, "Sec-WebSocket-Version: 8", 426, "Only WebSocket version 13 is supported"},
		"no key":          {method, body, "Sec-WebSocket-Key: ", 400, "Sec-WebSocket-Key is not one key of 16 bytes"},
		"another upgrade": {method, body, "Upgrade: h2c", 404, "Not Found"},
		"more upgrades":   {method, body, "Upgrade: websocket, h2c", 404, "Not Found"},
		"no connection":   {method, body, "Connection: close", 400, "The Connection header does not name upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := handshake(t, server, tt.method, path, tt.body, append(fields, tt.field)...)
			if status != tt.status || got != tt.detail {
				t.Errorf("%d %q, want %d %q", status, got, tt.status, tt.detail)
			}
		})
	}
}

// handshake sends a handshake without correcting it, and returns the status and
// the detail of the answer. If several fields have the same name, it sends only
// the last one.
func handshake(t *testing.T, server *Server, method, path, body string, fields ...string) (status int, detail string) {
	t.Helper()
	address := strings.TrimPrefix(server.URL, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"Host": address, "Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, field := range fields {
		if name, value, ok := strings.Cut(field, ": "); ok {
			values[name] = value
		}
	}
	var request strings.Builder
	request.WriteString(method + " " + path + " HTTP/1.1\r\n")
	for name, value := range values {
		request.WriteString(name + ": " + value + "\r\n")
	}
	request.WriteString("\r\n" + body)
	if _, err := conn.Write([]byte(request.String())); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, ""
	}
	var problem struct{ Detail string }
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, problem.Detail
}
