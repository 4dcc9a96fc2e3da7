package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"

	"wsauth/internal/eventloop"
	"wsauth/internal/relay"
)

// serveRelay runs a proxy that consists only of the relay: it forwards both
// sides of the handshake unchanged. It has one loop, as nginx has one worker.
// With more loops or workers, each would have less to do at once.
func serveRelay(upstream string) error {
	_, issuer, err := newKeys()
	if err != nil {
		return err
	}
	loops, err := eventloop.New(eventloop.Options{Loops: 1, Portable: os.Getenv(portableVariable) != ""})
	if err != nil {
		return err
	}
	r := relay.New(loops)
	defer r.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go introduce(r, client, upstream)
		}
	}()
	return (&server{issuer: issuer}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// introduce forwards the handshake, and passes both connections to the relay.
func introduce(r *relay.Relay, client net.Conn, upstream string) {
	back, err := net.Dial("tcp", upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	if passHead(back, client) != nil || passHead(client, back) != nil {
		_ = client.Close()
		_ = back.Close()
		return
	}
	r.Carry(relay.Pair{Client: client, Upstream: back})
}

// passHead forwards the head of a request or response, and nothing after it.
func passHead(to io.Writer, from io.Reader) error {
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := from.Read(b[:]); err != nil {
			return err
		}
		head = append(head, b[0])
	}
	_, err := to.Write(head)
	return err
}
