// Package seedtest tests the two programs: what they answer over HTTP, and
// what they say on their sockets, in the same cases and the same words.
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

// patience is how long a test waits for what must come at once.
const patience = 10 * time.Second

// A Server is a program that serves on loopback until the end of the test.
type Server struct {
	URL      string
	document *openapi3.T
}

// Start starts a program. openapi is its document, against which every answer
// is held.
func Start(t *testing.T, routes web.Routes, openapi []byte) *Server {
	t.Helper()
	server := httptest.NewServer(routes.Handler())
	t.Cleanup(server.Close)
	return &Server{URL: server.URL, document: load(t, openapi)}
}

// An Answer is an answer over HTTP.
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
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
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

// A Talk is all that a socket told, or how the handshake was refused.
type Talk struct {
	Status   int      // 101, or the refusal's
	Body     string   // of the refusal
	Messages []string // texts
	Code     websocket.StatusCode
	Reason   string
}

// Dial opens a socket, with header fields as "Name: value", and listens until
// it is closed. A message that is no text and an end without a close frame
// fail the test.
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
