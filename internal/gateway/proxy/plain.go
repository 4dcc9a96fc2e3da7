package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/wsconn"
	"wsauth/token"
)

// Patience is how long a plain request may make no progress, while its body
// arrives or its answer is written.
const Patience = 30 * time.Second

// servePlain passes on a request that is not a handshake. claims are nil for
// an anonymous client. preflight reports whether r is a preflight of a client
// that was not authenticated although the route requires it.
func (p *proxy) servePlain(w http.ResponseWriter, r *http.Request, claims *token.Claims, preflight bool) {
	header := http.Header{}
	if err := p.outgoing(r, header, claims); err != nil {
		p.guard.Refuse(w, r, refuseClaims(err))
		return
	}
	httpx.StripUpgrade(r.Header)
	pass := &passage{header: header, preflight: preflight}
	r = r.WithContext(context.WithValue(r.Context(), passageKey{}, pass))
	limits := &deadlines{control: http.NewResponseController(w)}
	defer limits.end()
	// The server's deadline is meant for its own answers; this one may take
	// long.
	limits.read(time.Time{})
	if r.ProtoMajor > 1 {
		// When a write deadline passes, HTTP/2 resets the stream even if
		// nothing is being written.
		limits.write(time.Time{})
	}
	body := NewRequestBody(r)
	out := &patientWriter{w, limits, r.Context(), body, p, r.ProtoAtLeast(1, 1) && !preflight}
	if body != nil {
		// Without full duplex, the server would read part of the body itself
		// before an answer that comes early.
		_ = limits.control.EnableFullDuplex()
		if maxBody := p.route.Limits.MaxBody; maxBody > 0 {
			if r.ContentLength > maxBody {
				p.refuseBody(out, r, maxBody) // before the upstream gets any of it
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		r.Body = &patientBody{r.Body, limits, pass}
	}
	pass.begin(p, r)
	defer pass.end(r.Context())
	defer context.AfterFunc(r.Context(), func() { limits.wake(pass.isAnswered()) })()
	whole := false
	if !r.ProtoAtLeast(1, 1) {
		defer func() {
			if !whole {
				cut(w)
			}
		}()
	}
	p.plain.ServeHTTP(out, r)
	whole = true
	// Give the server time to send the rest of the answer or, if it has no
	// body, all of it.
	limits.write(time.Now().Add(Patience))
}

// cut resets the connection of an incomplete HTTP/1.0 answer. Such an answer
// ends with its connection, and after an orderly close a proxy in front might
// pass it on as complete.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil && !wsconn.Reset(conn) {
		_ = conn.Close()
	}
}

// refuseClaims returns the refusal of a token whose claims cannot be written
// into headers for the upstream (R8).
func refuseClaims(err error) *wsauth.Error {
	return &wsauth.Error{Reason: wsauth.TokenInvalid, Message: "Invalid claims", Err: err}
}

func (p *proxy) newPlain() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      timingTransport{p},
		ModifyResponse: p.answer,
		ErrorHandler:   p.fail,
		ErrorLog:       slog.NewLogLogger(p.routes.log.Handler(), slog.LevelDebug),
	}
}

// timingTransport is a RoundTripper that sends requests to the upstreams and
// measures how long they take to begin an answer.
type timingTransport struct{ of *proxy }

// RoundTrip implements [http.RoundTripper].
func (t timingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	response, err := t.of.pool.RoundTrip(r)
	if err == nil {
		t.of.label.UpstreamAnswered("http", time.Since(started))
	}
	return response, err
}

// rewrite prepares the outgoing request. Path, query and host stay as the
// client sent them.
func rewrite(r *httputil.ProxyRequest) {
	pass := r.In.Context().Value(passageKey{}).(*passage)
	for name := range r.Out.Header {
		if isMisleading(name) {
			delete(r.Out.Header, name)
		}
	}
	for name, lines := range pass.header {
		r.Out.Header[name] = lines
	}
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "upstream" // the pool replaces both
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	r.Out.Host = r.In.Host
	r.Out.Trailer = nil // a trailer could contradict the headers that we set
}

// answer checks and changes the head of an upstream's answer before it is
// passed on.
func (p *proxy) answer(response *http.Response) error {
	p.protectLogin(response.Header)
	pass := response.Request.Context().Value(passageKey{}).(*passage)
	if pass.preflight {
		bareAnswer(response)
	}
	if err := pass.answered(response); err != nil {
		return err
	}
	if p.cors != nil {
		dropCORSTrailers(response)
	}
	return nil
}

// fail answers a request that the upstream did not answer, or whose answer
// must not be passed on.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooBig *http.MaxBytesError
	var refusal *wsauth.Error
	answer := w.(*patientWriter)
	answer.limits.write(time.Now().Add(Patience))
	end, ended := errors.AsType[*wsauth.EndError](context.Cause(r.Context()))
	switch {
	case ended:
		answer.limits.allowRefusal()
		answer.Header().Set("Connection", "close")
		p.guard.Refuse(answer.ResponseWriter, r, end)
	case errors.As(err, &refusal):
		p.guard.Refuse(w, r, refusal)
	case errors.As(err, &tooBig):
		p.refuseBody(w, r, tooBig.Limit)
	case answer.limits.silent.Load():
		answer.limits.allowRefusal()
		answer.failBody(r, http.StatusRequestTimeout, "idle_timeout", "The body of the request did not come in time")
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client is gone
	case answer.body.isBroken():
		answer.failBody(r, http.StatusBadRequest, "invalid_request", "The body of the request is not valid")
	default:
		p.guard.Refuse(w, r, p.failure(err))
	}
}

// refuseBody answers a request whose body is longer than the route allows.
func (p *proxy) refuseBody(w http.ResponseWriter, r *http.Request, maxBody int64) {
	p.routes.log.Info("refused", "reason", "body_too_big", "route", p.route.name(), "remote", r.RemoteAddr,
		"error", fmt.Sprintf("the body is longer than limits.max_body of the route allows, %d bytes", maxBody))
	telemetry.Problem(http.StatusRequestEntityTooLarge, "body_too_big", "The body is longer than limits.max_body of the route allows")(w, r)
}

// A patientBody is a request body that may take any time as long as it makes
// progress.
type patientBody struct {
	io.ReadCloser
	limits *deadlines
	pass   *passage
}

func (b *patientBody) Read(p []byte) (int, error) {
	started := time.Now()
	b.limits.read(started.Add(Patience))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if isTimeout(err) && time.Since(started) >= Patience {
			b.limits.silent.Store(true)
		}
		// The server keeps reading, to notice when the client disconnects.
		b.limits.read(time.Time{})
		b.pass.received()
	}
	return n, err
}

// A patientWriter writes an answer that may take any time as long as the
// client reads it. When its context ends, a deadline in the past wakes a
// blocked Write.
type patientWriter struct {
	http.ResponseWriter
	limits  *deadlines
	context context.Context // of the request
	body    *RequestBody    // nil if the request has none
	proxy   *proxy
	// informs reports whether the client gets interim answers. HTTP/1.0 has
	// none, and a preflight gets only the CORS headers.
	informs bool
}

// WriteHeader writes the head of an interim or final answer.
//
// If the answer comes before the end of the request's body, it closes the
// connection afterwards. Otherwise the server could mistake the rest of the
// body for another request.
func (w *patientWriter) WriteHeader(status int) {
	h := w.Header()
	if status < http.StatusOK {
		// httputil.ReverseProxy has copied the upstream's header unchanged,
		// and clears it afterwards.
		if w.informs {
			dropConnectionFields(h)
			h.Del("Upgrade")
			w.proxy.protectLogin(h)
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = nil // keeps the server from guessing one
	}
	if w.body != nil && w.body.http1 && !errors.Is(w.body.end(), io.EOF) {
		h.Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin sets the deadline of the next write and then checks the context, in
// this order. If the context ends before the check, begin fails. If it ends
// later, deadlines.wake replaces the deadline.
func (w *patientWriter) begin() error {
	w.limits.write(time.Now().Add(Patience))
	return w.context.Err()
}

func (w *patientWriter) Write(p []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	n, err := w.ResponseWriter.Write(p)
	w.limits.write(time.Time{})
	return n, err
}

// failBody answers a client that did not send its body in time or sent an
// invalid one. The upstream is not at fault.
func (w *patientWriter) failBody(r *http.Request, status int, reason, detail string) {
	w.Header().Set("Connection", "close")
	w.proxy.routes.log.Info("refused", "reason", reason, "route", w.proxy.route.name(), "remote", r.RemoteAddr,
		"error", fmt.Sprintf("the client's body: %v", w.body.end()))
	telemetry.Problem(status, reason, detail)(w.ResponseWriter, r)
}

// FlushError flushes the answer, for http.ResponseController.
func (w *patientWriter) FlushError() error {
	if err := w.begin(); err != nil {
		return err
	}
	defer w.limits.write(time.Time{})
	return w.limits.control.Flush()
}

// Unwrap gives http.ResponseController access to the other methods.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
