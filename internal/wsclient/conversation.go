package wsclient

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// errNotText reports input that cannot be sent as a text message.
var errNotText = errors.New("the input is not UTF-8, as a text message must be")

// A conversation is an open socket. One goroutine reads and prints, another
// sends, so that they do not wait for each other: with a server that echoes,
// both could block otherwise.
type conversation struct {
	client *Client
	socket *socket
	got    int // messages received; owned by the reader until it ends

	// The result of the reader: an *End, an error of the output, or nil if it
	// received enough messages.
	ends chan error
	// The result of the sender: an error of the input, or nil at its end.
	failures   chan error
	sendErrors chan error // errors of the connection found by the sender
}

func newConversation(c *Client, s *socket) *conversation {
	return &conversation{
		client:     c,
		socket:     s,
		ends:       make(chan error, 1),
		failures:   make(chan error, 1),
		sendErrors: make(chan error, 1),
	}
}

// run returns how the socket was closed: an [*End], or another error if
// something else failed.
func (v *conversation) run(ctx context.Context, first *message) error {
	// Cancelling the context of a read would drop the connection, so the
	// goroutines have a context that ends when the socket is closed.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() { v.ends <- v.read(working, first) }()
	go v.send(working)
	var wait <-chan time.Time
	if v.client.config.Wait > 0 {
		timer := time.NewTimer(v.client.config.Wait)
		defer timer.Stop()
		wait = timer.C
	}
	renewals := v.keepAlive(working)
	defer renewals.stop()
	for {
		select {
		case err := <-v.ends:
			return v.end(err)
		case err := <-v.failures:
			return v.close(err)
		case <-wait:
			return v.closeOnTime()
		case <-ctx.Done():
			return v.close(nil)
		case <-renewals.due:
			renewals.begin()
		case err := <-renewals.done:
			if err := renewals.finish(err); err != nil {
				return v.close(err)
			}
		}
	}
}

// read prints received messages.
func (v *conversation) read(ctx context.Context, first *message) error {
	c := v.client.config
	for m := first; ; m = nil {
		if m == nil {
			kind, data, err := v.socket.conn.Read(ctx)
			if err != nil {
				return endOf(err, c.MaxMessage)
			}
			m = &message{kind == websocket.MessageBinary, data}
		}
		if err := c.Report.message(m); err != nil {
			return err
		}
		if v.got++; v.got == c.Count {
			return nil
		}
	}
}

// send sends the configured messages and the input.
func (v *conversation) send(ctx context.Context) {
	for _, text := range v.client.config.Send {
		if !v.write(ctx, text) {
			return
		}
	}
	for {
		select {
		case line := <-v.client.config.Input:
			if line.Err == nil && !line.Done && !utf8.ValidString(line.Text) {
				line.Err = errNotText
			}
			if line.Err != nil || line.Done {
				v.failures <- line.Err
				return
			}
			if !v.write(ctx, line.Text) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// write sends a message and reports whether it succeeded. If not, the reader
// will find out how the socket was closed.
func (v *conversation) write(ctx context.Context, text string) bool {
	ctx, cancel := context.WithTimeout(ctx, v.client.config.Timeout)
	defer cancel()
	err := v.socket.conn.Write(ctx, websocket.MessageText, []byte(text))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		v.sendErrors <- fmt.Errorf("the server accepted no message for %s", v.client.config.Timeout)
	}
	return err == nil
}

// end handles the result of the reader.
func (v *conversation) end(err error) error {
	if err == nil {
		return v.close(nil)
	}
	end, ok := errors.AsType[*End](err)
	if !ok {
		return v.close(err)
	}
	if end.By == ByNetwork {
		select {
		case end.Err = <-v.sendErrors:
		default:
		}
	}
	return end
}

// closeOnTime closes the socket when the configured time has passed. This is an
// error if fewer messages than configured were received.
func (v *conversation) closeOnTime() error {
	end := v.close(nil)
	err := <-v.ends // it has printed all messages
	if _, closed := errors.AsType[*End](err); !closed && err != nil {
		end.Err = err
	} else if v.got < v.client.config.Count {
		end.Err = fmt.Errorf("%d of %d messages were received in %s", v.got, v.client.config.Count, v.client.config.Wait)
	}
	return end
}

// close closes the socket normally. err is the reason, or nil if the work is
// done.
func (v *conversation) close(err error) *End {
	// An error does not matter: the server has had enough time to answer.
	_ = v.socket.conn.Close(websocket.StatusNormalClosure, "")
	return &End{By: ByClient, Code: codeNormal, Err: err}
}
