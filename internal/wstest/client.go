// Package wstest provides helpers for tests of sockets: a client that sees
// every byte, a network of pipes for synctest bubbles, and a log to read.
package wstest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// UpgradeFields holds the header lines of a handshake except Host, with the key
// of RFC 6455 section 1.3.
const UpgradeFields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// UpgradeLines returns the lines of UpgradeFields.
func UpgradeLines() []string { return strings.Split(strings.TrimSuffix(UpgradeFields, "\r\n"), "\r\n") }

// maxFrame bounds the frames that a Client reads.
const maxFrame = 1 << 20

// A Client is the client's end of a socket, after the handshake. It reads the
// server's frames one by one and checks that they are well-formed.
type Client struct {
	Conn   net.Conn
	In     *bufio.Reader // reads from Conn
	Frames int           // read so far
}

// ReadFrame reads the next frame.
func (c *Client) ReadFrame() (opcode byte, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.In, head[:2]); err != nil {
		return 0, nil, err
	}
	opcode = head[0] & 0x0F
	size := uint64(head[1] & 0x7F)
	if head[1]&0x80 != 0 || opcode > 2 && opcode < 8 || opcode > 10 || head[0]&0x30 != 0 {
		return 0, nil, fmt.Errorf("% x does not begin a frame of a server", head[:2])
	}
	switch size {
	case 126:
		_, err = io.ReadFull(c.In, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(c.In, head[:8])
		size = binary.BigEndian.Uint64(head[:])
	}
	if err == nil && size > maxFrame {
		err = fmt.Errorf("a frame of %d bytes", size)
	}
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(c.In, body)
	c.Frames++
	return opcode, body, err
}

// ReadClose reads frames up to the close frame.
func (c *Client) ReadClose() (code int, reason string, err error) {
	for {
		opcode, body, err := c.ReadFrame()
		if err != nil {
			return 0, "", err
		}
		if opcode != 8 {
			continue
		}
		if len(body) < 2 {
			return 0, "", fmt.Errorf("a close frame of %d bytes", len(body))
		}
		return int(binary.BigEndian.Uint16(body)), string(body[2:]), nil
	}
}

// AnswerClose answers the close frame and reads to the end of the stream.
// It returns an error if the server sends anything after its close frame.
func (c *Client) AnswerClose() error {
	if _, err := c.Conn.Write(Frame(0x88, "")); err != nil {
		return err
	}
	rest, err := io.ReadAll(c.In)
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes after the close frame", len(rest))
	}
	return err
}

// Frame returns a frame of a client, masked with zeros. Its first byte holds
// the FIN bit and the opcode.
func Frame(first byte, payload string) []byte {
	head := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		head[1] |= byte(n)
	case n < 1<<16:
		head[1] |= 126
		head = binary.BigEndian.AppendUint16(head, uint16(n))
	default:
		head[1] |= 127
		head = binary.BigEndian.AppendUint64(head, uint64(n))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}
