package wsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"wsauth/internal/inspect"
)

// A handshake is the request that opens a socket, before it is sent.
type handshake struct {
	url       *url.URL
	header    http.Header
	protocols []string
}

// A socket is open.
type socket struct {
	conn     *websocket.Conn
	protocol string // that the server chose; "" where it chose none, or what may be a token
}

// maxHead is how long the head of an answer may be, in bytes.
const maxHead = 64 << 10

// newHTTP makes a client that follows no redirects, since a credential would go where nobody has said that it may, and speaks
// HTTP/1.1, as the upgrade to a WebSocket needs.
func newHTTP(c *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			OnProxyConnectResponse: onProxyConnect,
			TLSClientConfig:        c,
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: maxHead,
			IdleConnTimeout:        30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dial sends the handshake. Its error is a [*Refusal] where the server answers, and opens nothing.
func (c *Client) dial(ctx context.Context, h *handshake) (*socket, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, fmt.Errorf("no answer in %s", c.config.Timeout))
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, h.url.String(), &websocket.DialOptions{
		HTTPClient:   c.http,
		HTTPHeader:   h.header,
		Host:         c.config.Host,
		Subprotocols: h.protocols,
	})
	switch {
	case err == nil:
		conn.SetReadLimit(c.config.MaxMessage)
		s := &socket{conn: conn}
		if p := conn.Subprotocol(); slices.Contains(c.config.Subprotocols, p) || p == c.config.Via.Name {
			s.protocol = p
		}
		return s, nil
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, readRefusal(Handshake, resp, c.config.hasCredential())
	case resp != nil:
		return nil, errors.New("the server's answer to the handshake is not as RFC 6455 says")
	}
	return nil, unreachable("handshake with", h.url, cause(ctx, withoutURL(err)))
}

// endOf makes an End of the error of a read.
func endOf(err error, maxMessage int64) *End {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		return &End{By: ByServer, Code: int(e.Code), Reason: e.Reason}
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return &End{By: ByClient, Code: codeTooLong, Err: fmt.Errorf("a message came that is longer than %d bytes", maxMessage)}
	}
	end := &End{By: ByNobody, Code: codeBroken}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		end.Err = errors.New(inspect.Printable(err.Error()))
	}
	return end
}

// introduce sends the first message, with a token, and waits for the answer to it. A message that is none is the server's own, and
// is returned.
func (c *Client) introduce(ctx context.Context, s *socket, token string) (first *message, err error) {
	text, err := c.config.Via.introduction(token)
	if err != nil {
		return nil, errors.New("the first message cannot be made of this token")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return nil, endOf(err, c.config.MaxMessage)
	}
	kind, data, err := s.conn.Read(ctx)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("the server does not answer the first message in %s", c.config.Timeout)
	case err != nil:
		return nil, endOf(err, c.config.MaxMessage)
	}
	var answer struct {
		Type      string `json:"type"`
		ExpiresAt int64  `json:"expires_at"`
	}
	if kind == websocket.MessageText && json.Unmarshal(data, &answer) == nil && (answer.Type == "auth_ok" || answer.Type == "connection_ack") {
		return nil, c.config.Report.authenticated(answer.ExpiresAt)
	}
	return &message{kind == websocket.MessageBinary, data}, nil
}
