package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
)

// opError makes of err what a connection of the net package would return, which net/http looks for: a net.Error, net.ErrClosed, io.EOF.
func (c *Conn) opError(op string, err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case c.closed.Load():
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.remote, Err: err}
}
