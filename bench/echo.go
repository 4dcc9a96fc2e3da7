package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"

	"wsauth/internal/wsframe"
)

// serveEcho runs a backend without authentication that uses little CPU: it
// answers handshakes, and sends frames back unmasked.
func serveEcho() error {
	_, issuer, err := newKeys()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	return (&server{issuer: issuer}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// echo serves one connection until it ends. Its clients mask with zeros, so
// that the payload can be sent back unchanged.
func echo(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 2048)
	request, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		wsframe.AcceptKey(request.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	for err == nil {
		err = echoFrame(conn, r)
	}
}

func echoFrame(conn net.Conn, r *bufio.Reader) error {
	head, err := r.Peek(2)
	if err != nil {
		return err
	}
	n, size := 2, int(head[1]&0x7f)
	switch size {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if head, err = r.Peek(n + 4); err != nil {
		return err
	}
	switch n {
	case 4:
		size = int(binary.BigEndian.Uint16(head[2:]))
	case 10:
		size = int(binary.BigEndian.Uint32(head[6:]))
	}
	frame := make([]byte, n+size)
	copy(frame, head[:n])
	frame[1] &= 0x7f
	if _, err := r.Discard(n + 4); err != nil {
		return err
	}
	if _, err := io.ReadFull(r, frame[n:]); err != nil {
		return err
	}
	_, err = conn.Write(frame)
	return err
}
