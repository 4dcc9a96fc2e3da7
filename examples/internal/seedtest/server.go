// Package seedtest tests examples/query and examples/cookie, which are ports of
// two programs of fastapi-jwt-auth. Both are tested with the same cases: their
// HTTP responses, and the messages on their sockets.
package seedtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/getkin/kin-openapi/openapi3"

	"wsauth/examples/web"
)

// patience is the longest wait for a response or for a message.
const patience = 10 * time.Second

// A Server is a program that serves on loopback until the test ends.
type Server struct {
	URL      string
	document *openapi3.T
}

// Start starts a program. openapi is the program's OpenAPI document. The test
// fails if a response to Call is not in the document.
func Start(t *testing.T, routes web.Routes, openapi []byte) *Server {
	t.Helper()
	server := httptest.NewServer(routes.Handler())
	t.Cleanup(server.Close)
	return &Server{URL: server.URL, document: load(t, openapi)}
}

// An Answer is an HTTP response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Call sends a request, with header fields as "Name: value".
func (s *Server) Call(t *testing.T, method, path, body string, fields ...string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header(fields)
	response, err := http.DefaultTransport.RoundTrip(request) // does not follow redirects
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := Answer{response.StatusCode, response.Header, string(text)}
	s.checkDocumented(t, request, answer)
	return answer
}

// A Talk contains everything that a socket received, or the refusal of the
// handshake.
type Talk struct {
	Status   int      // 101, or the status of the refusal
	Body     string   // of the refusal
	Messages []string // text messages
	Code     websocket.StatusCode
	Reason   string
}

// Dial opens a socket, with header fields as "Name: value", and reads until the
// socket is closed. It fails the test if a message is not text, or if the
// socket ends without a close frame.
func (s *Server) Dial(t *testing.T, path string, fields ...string) Talk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, s.URL+path, &websocket.DialOptions{HTTPHeader: header(fields)})
	if response == nil {
		t.Fatalf("no answer: %v", err)
	}
	talk := Talk{Status: response.StatusCode}
	if err != nil {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		talk.Body = string(body)
		return talk
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(ctx)
		if end, ok := errors.AsType[websocket.CloseError](err); ok {
			talk.Code, talk.Reason = end.Code, end.Reason
			return talk
		}
		if err != nil || kind != websocket.MessageText {
			t.Fatalf("after %q: message type %v, error %v", talk.Messages, kind, err)
		}
		talk.Messages = append(talk.Messages, string(message))
	}
}

func header(fields []string) http.Header {
	h := http.Header{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		h.Add(name, value)
	}
	return h
}
