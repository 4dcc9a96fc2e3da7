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

// A handshake is an opening handshake that has not been sent.
type handshake struct {
	url       *url.URL
	header    http.Header
	protocols []string
}

// A socket is an open WebSocket.
type socket struct {
	conn *websocket.Conn
	// The subprotocol chosen by the server, or "" if it may contain a token.
	protocol string
}

// maxHead is the maximum size of a response header, in bytes.
const maxHead = 64 << 10

// newHTTP returns an HTTP client that does not follow redirects, because these
// would send the credential to another address. It speaks HTTP/1.1, which the
// WebSocket handshake needs.
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

// dial performs the handshake. If the server refuses, the error is a
// [*Refusal].
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
		return nil, errors.New("the server's answer to the handshake violates RFC 6455")
	}
	return nil, unreachable("handshake with", h.url, cause(ctx, withoutURL(err)))
}

// endOf converts the error of a read into an End.
func endOf(err error, maxMessage int64) *End {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		return &End{By: ByServer, Code: int(e.Code), Reason: e.Reason}
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return &End{By: ByClient, Code: codeTooLong, Err: fmt.Errorf("received a message longer than %d bytes", maxMessage)}
	}
	end := &End{By: ByNetwork, Code: codeBroken}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		end.Err = errors.New(inspect.Printable(err.Error()))
	}
	return end
}

// introduce sends the first message with a token and waits for the answer. If
// the received message is not an answer, it belongs to the application and is
// returned.
func (c *Client) introduce(ctx context.Context, s *socket, token string) (first *message, err error) {
	text, err := c.config.Via.introduction(token)
	if err != nil {
		return nil, errors.New("this token cannot be sent in a first message")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return nil, endOf(err, c.config.MaxMessage)
	}
	kind, data, err := s.conn.Read(ctx)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("the server did not answer the first message in %s", c.config.Timeout)
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
