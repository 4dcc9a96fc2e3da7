package wstest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Pipes is a listener whose connections are pipes in memory, for servers in a
// synctest bubble. A goroutine that reads from the network is not durably
// blocked there, so time would not advance.
type Pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

// NewPipes returns a listener. Dialing waits until a server accepts.
func NewPipes() *Pipes { return &Pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Dial connects to the server from an address, which may be "". Like TCP
// connections, and unlike a net.Pipe, each direction of the connection closes
// on its own.
func (p *Pipes) Dial(from string) net.Conn {
	conn, err := p.dial(context.Background(), from)
	if err != nil {
		panic(err)
	}
	return conn
}

// DialContext is like Dial, but has the signature that an http.Transport needs.
func (p *Pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return p.dial(ctx, "")
}

func (p *Pipes) dial(ctx context.Context, from string) (net.Conn, error) {
	request, requestEnd := net.Pipe()
	response, responseEnd := net.Pipe()
	select {
	case p.conns <- duplex{requestEnd, responseEnd, from}:
		return duplex{response, request, "server"}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (p *Pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address without meaning.
func (p *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// A duplex is one end of a connection. The embedded Conn is for reading.
type duplex struct {
	net.Conn
	out  net.Conn
	peer string
}

func (d duplex) Write(p []byte) (int, error)        { return d.out.Write(p) }
func (d duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }
func (d duplex) CloseWrite() error                  { return d.out.Close() }
func (d duplex) Close() error                       { return errors.Join(d.out.Close(), d.Conn.Close()) }
func (d duplex) RemoteAddr() net.Addr               { return &net.UnixAddr{Name: d.peer} }

func (d duplex) SetDeadline(t time.Time) error {
	return errors.Join(d.SetReadDeadline(t), d.SetWriteDeadline(t))
}
