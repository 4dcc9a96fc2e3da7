package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"time"
)

// open opens a socket without a WebSocket library, so that the client uses
// little CPU.
func open(addr, path, token string) (*net.TCPConn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", path, addr, token)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 512)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return conn.(*net.TCPConn), r, nil
}
