package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"wsauth/internal/httpx"
	"wsauth/internal/wsframe"
)

// A Socket is the response of a server to a WebSocket handshake.
type Socket struct {
	net.Conn
	// Response is a 101, or a response for the client. In the latter case,
	// Conn is the source of its Body.
	Response *http.Response
	Early    []byte // data received after the 101
	Deflate  bool   // permessage-deflate was negotiated (RFC 7692)
	Address  string // address of the server, as configured
}

// A PendingHandshake is a handshake that was sent to a server and has not been
// answered.
type PendingHandshake struct {
	Conn net.Conn // for waiting for the response without Answer

	target  *target
	request *http.Request
	offered []string // offered extensions
}

// Open opens a WebSocket. It is Ask followed by Answer.
func (p *Pool) Open(ctx context.Context, r *http.Request) (*Socket, error) {
	a, err := p.Ask(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.Answer(ctx, nil)
}

// Ask sends the handshake r, which must be valid, to one of the servers. It
// sends all fields of r.Header except those of a single connection; the caller
// must have removed the fields listed in the client's Connection field. Of the
// extensions offered by r, it offers only permessage-deflate.
func (p *Pool) Ask(ctx context.Context, r *http.Request) (*PendingHandshake, error) {
	var a *PendingHandshake
	err := p.try(func(t *target) (err error) {
		a, err = t.open(ctx, r)
		return err
	})
	return a, err
}

// AskNow is a non-blocking Ask. It returns ErrWait if it would block. It may be
// called only if Near reports true.
func (p *Pool) AskNow(ctx context.Context, r *http.Request) (*PendingHandshake, error) {
	var a *PendingHandshake
	err := p.try(func(t *target) error {
		conn, err := dialLocal(ctx, t.local, 0)
		switch {
		case isTimeout(err):
			return ErrWait
		case err != nil:
			return t.unreachable(ctx, err)
		}
		a, err = t.send(ctx, conn, r)
		return err
	})
	return a, err
}

// Near reports whether all servers are on this machine, so that AskNow can be
// used.
func (p *Pool) Near() bool {
	return !slices.ContainsFunc(p.targets, func(t *target) bool { return !t.local.IsValid() || t.tls != nil || t.config.Dial != nil })
}

func (t *target) open(ctx context.Context, r *http.Request) (*PendingHandshake, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return t.send(ctx, conn, r)
}

// send sends the handshake on a new connection.
func (t *target) send(ctx context.Context, conn net.Conn, r *http.Request) (*PendingHandshake, error) {
	// Limit the duration of the following steps.
	_ = conn.SetDeadline(time.Now().Add(t.config.Response))
	a := &PendingHandshake{Conn: conn, target: t, request: r, offered: deflateOffers(r.Header)}
	var err error
	if t.tls != nil {
		err = a.encrypt(ctx)
	}
	if err == nil {
		_, err = a.Conn.Write(appendRequest(make([]byte, 0, 1024), r, a.offered))
	}
	if err != nil {
		return nil, a.Failed(ctx, err)
	}
	return a, nil
}

// encrypt starts TLS on the connection.
func (a *PendingHandshake) encrypt(ctx context.Context) error {
	stop := cancelOnDone(ctx, a.Conn)
	defer stop()
	secure := tls.Client(a.Conn, a.target.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, a.target.address, err)
	}
	a.Conn = secure
	return nil
}

// Failed closes the connection and returns err, wrapped in the cause of ctx if
// ctx is done, and in ErrTimeout or ErrAnswer otherwise. It does not wrap
// ErrUnreachable in ErrAnswer.
func (a *PendingHandshake) Failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	case isTimeout(err):
		err = fmt.Errorf("%w: %s: %w", ErrTimeout, a.target.address, err)
	case !errors.Is(err, ErrUnreachable):
		err = fmt.Errorf("%w: %s: %w", ErrAnswer, a.target.address, err)
	}
	_ = a.Conn.Close()
	return err
}

// Switched returns the socket if first is a complete and valid 101 response.
// Otherwise it does nothing, and the caller must call Answer.
func (a *PendingHandshake) Switched(first []byte) (*Socket, bool) {
	source := bytes.NewReader(first)
	s, err := a.socket(bufio.NewReaderSize(source, 1024), source)
	return s, err == nil && s.Response.StatusCode == http.StatusSwitchingProtocols
}

// Answer waits for the rest of the response; first holds the bytes received so
// far. It fails when ctx is done or the server takes too long.
func (a *PendingHandshake) Answer(ctx context.Context, first []byte) (*Socket, error) {
	stop := cancelOnDone(ctx, a.Conn)
	s, err := a.read(first)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, a.Failed(ctx, err)
	}
	return s, nil
}

// watchAfter is how long a server may take before a goroutine watches ctx.
// Most servers have answered by then.
const watchAfter = 10 * time.Millisecond

// cancelOnDone interrupts reads and writes of conn when ctx is done, from
// watchAfter on, until stop is called. stop reports whether ctx is not done.
// cancelOnDone does not use context.AfterFunc, because that would leave a map
// and a channel in ctx, and the context of a socket lives as long as the
// socket.
func cancelOnDone(ctx context.Context, conn net.Conn) (stop func() bool) {
	stopped, left := make(chan struct{}), make(chan struct{})
	timer := time.AfterFunc(watchAfter, func() {
		defer close(left)
		select {
		case <-ctx.Done():
			_ = conn.SetDeadline(time.Unix(1, 0))
		case <-stopped:
		}
	})
	return func() bool {
		if !timer.Stop() {
			close(stopped)
			<-left // wait, so that it does not affect the next owner
		}
		return ctx.Err() == nil
	}
}

// read reads the response.
func (a *PendingHandshake) read(first []byte) (*Socket, error) {
	source := bytes.NewReader(first)
	limited := &io.LimitedReader{R: io.MultiReader(source, a.Conn), N: maxHead}
	s, err := a.socket(bufio.NewReaderSize(limited, 1024), source)
	switch {
	case err != nil && limited.N <= 0:
		return nil, fmt.Errorf("its head is longer than %d bytes", maxHead)
	case err == nil && s.Response.StatusCode != http.StatusSwitchingProtocols:
		limited.N = 1<<63 - 1 // the body is not limited
	}
	return s, err
}

// socket reads a response. If it is a 101, the data after it in buffered and
// source belongs to the socket. buffered must read from source first.
func (a *PendingHandshake) socket(buffered *bufio.Reader, source *bytes.Reader) (*Socket, error) {
	response, err := readResponse(buffered)
	if err != nil {
		return nil, err
	}
	s := &Socket{Conn: a.Conn, Response: response, Address: a.target.address}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return s, nil
	}
	if err := s.check(a.request, a.offered); err != nil {
		return nil, err
	}
	early, _ := buffered.Peek(buffered.Buffered()) // peeking at buffered data cannot fail
	rest, _ := io.ReadAll(source)
	s.Early = slices.Concat(early, rest)
	_ = a.Conn.SetDeadline(time.Time{})
	return s, nil
}

// maxInterim is the maximum number of informational responses before the final
// one (RFC 9110 section 15.2).
const maxInterim = 8

func readResponse(r *bufio.Reader) (*http.Response, error) {
	for range maxInterim {
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode == http.StatusSwitchingProtocols || response.StatusCode >= http.StatusOK {
			return response, err
		}
	}
	return nil, errors.New("too many informational responses")
}

const deflate = "permessage-deflate"

// deflateOffers returns the offers of permessage-deflate in h, the only
// extension that the relay supports.
func deflateOffers(h http.Header) []string {
	var all []string
	for _, line := range h["Sec-Websocket-Extensions"] {
		for offer := range strings.SplitSeq(line, ",") {
			if offer = strings.TrimSpace(offer); extensionName(offer) == deflate {
				all = append(all, offer)
			}
		}
	}
	return all
}

func extensionName(offer string) string {
	name, _, _ := strings.Cut(offer, ";")
	return strings.TrimSpace(name)
}

// check checks a 101 response by the rules of RFC 6455 section 4.1: it must
// answer the key, and select only what was offered.
func (s *Socket) check(r *http.Request, offered []string) error {
	h := s.Response.Header
	accept, protocol, extensions := h["Sec-Websocket-Accept"], h["Sec-Websocket-Protocol"], h["Sec-Websocket-Extensions"]
	switch {
	case !s.Response.ProtoAtLeast(1, 1):
		return errors.New("its 101 is not HTTP/1.1")
	case !httpx.IsOnly(h["Upgrade"], "websocket"):
		return errors.New("its 101 does not upgrade to websocket")
	case !httpx.HasToken(h["Connection"], "upgrade"):
		return errors.New("its 101 has no Connection: Upgrade")
	case len(accept) != 1 || accept[0] != wsframe.AcceptKey(r.Header.Get("Sec-WebSocket-Key")):
		return errors.New("its Sec-WebSocket-Accept does not answer the key")
	case len(protocol) > 1 || len(protocol) == 1 && !httpx.HasItem(r.Header["Sec-Websocket-Protocol"], protocol[0]):
		return errors.New("it chose a subprotocol that was not offered")
	}
	for _, line := range extensions {
		if len(extensions) > 1 || len(offered) == 0 || strings.Contains(line, ",") || extensionName(line) != deflate {
			return errors.New("it chose an extension that was not offered")
		}
		s.Deflate = true
	}
	return nil
}

// perConnection lists fields that belong to a single connection or that the
// handshake sets itself.
var perConnection = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Http2-Settings": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Sec-Websocket-Extensions": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// appendRequest appends a handshake. The header of r was validated by net/http
// or by the gateway, so no name or value contains a line break.
func appendRequest(b []byte, r *http.Request, extensions []string) []byte {
	b = append(b, "GET "...)
	b = append(b, r.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	for name, values := range r.Header {
		if perConnection[name] {
			continue
		}
		for _, v := range values {
			b = appendField(b, name, v)
		}
	}
	if len(extensions) > 0 {
		b = appendField(b, "Sec-WebSocket-Extensions", strings.Join(extensions, ", "))
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
