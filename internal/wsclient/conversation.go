package wsclient

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// errNotText means input that no text message can have.
var errNotText = errors.New("what is to be sent is not UTF-8, as a text message must be")

// A conversation is a socket that is open. One goroutine reads and prints, and one sends, so that neither waits for the other: a
// server that echoes would else wait for both.
type conversation struct {
	client *Client
	socket *socket
	got    int // messages; of the reader, and of others when it has ended

	ends     chan error // how the reader ended: an *End, an error of the output, or nil for enough
	failures chan error // of the sender: what is wrong with the input, or nil for its end
	stuck    chan error // of the sender: what is wrong with the connection
}

func newConversation(c *Client, s *socket) *conversation {
	return &conversation{
		client:   c,
		socket:   s,
		ends:     make(chan error, 1),
		failures: make(chan error, 1),
		stuck:    make(chan error, 1),
	}
}

// run returns how the socket was closed: an [*End], or another error where something of this client failed.
func (v *conversation) run(ctx context.Context, first *message) error {
	// A read whose context ends drops the connection: these end when the socket is closed.
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
			return v.late()
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

// read prints what comes.
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

// send sends what is to be sent.
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

// write sends one message, and reports whether it could. Where not, the reader soon knows how the socket was closed.
func (v *conversation) write(ctx context.Context, text string) bool {
	ctx, cancel := context.WithTimeout(ctx, v.client.config.Timeout)
	defer cancel()
	err := v.socket.conn.Write(ctx, websocket.MessageText, []byte(text))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		v.stuck <- fmt.Errorf("the server takes no message for %s", v.client.config.Timeout)
	}
	return err == nil
}

// end is that of the reader.
func (v *conversation) end(err error) error {
	if err == nil {
		return v.close(nil)
	}
	end, ok := errors.AsType[*End](err)
	if !ok {
		return v.close(err)
	}
	if end.By == ByNobody {
		select {
		case end.Err = <-v.stuck:
		default:
		}
	}
	return end
}

// late closes the socket when the time is up, which is a failure where messages are missing.
func (v *conversation) late() error {
	end := v.close(nil)
	err := <-v.ends // it has printed what came
	if _, closed := errors.AsType[*End](err); !closed && err != nil {
		end.Err = err
	} else if v.got < v.client.config.Count {
		end.Err = fmt.Errorf("%d of %d messages came in %s", v.got, v.client.config.Count, v.client.config.Wait)
	}
	return end
}

// close closes the socket as agreed, because of err, or because nobody wants more of it.
func (v *conversation) close(err error) *End {
	_ = v.socket.conn.Close(websocket.StatusNormalClosure, "") // a server that does not answer has had its time
	return &End{By: ByClient, Code: codeNormal, Err: err}
}
