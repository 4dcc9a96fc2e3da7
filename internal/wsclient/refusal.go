package wsclient

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/internal/inspect"
)

// A Step is a request of the client.
type Step string

// The steps.
const (
	Login     Step = "login"
	Refresh   Step = "refresh"
	GetTicket Step = "ticket"
	Logout    Step = "logout"
	Handshake Step = "handshake"
)

// A Refusal is an HTTP response that refuses a request.
type Refusal struct {
	Step   Step
	Status int
	// The reason in the problem document, or "".
	Reason string
	// The detail of the problem document, or the first line of a plain text.
	Text       string
	Advice     wsauth.Advice // "" if the text is sufficient
	RetryAfter string        // seconds as sent by the server, or ""
	Hint       string        // what may be wrong with the command, or ""

	own bool // the response is a problem document, so not from a proxy
}

// Error describes the refusal for a person, in a few lines.
func (r *Refusal) Error() string {
	var b strings.Builder
	status := strings.TrimSpace(strconv.Itoa(r.Status) + " " + http.StatusText(r.Status))
	if r.Step == Handshake && r.Status < http.StatusBadRequest {
		b.WriteString("the server opened no WebSocket: it answered the handshake with " + status)
	} else {
		b.WriteString("the server refused the " + string(r.Step) + ": " + status)
	}
	if r.Reason != "" {
		b.WriteString(", " + r.Reason)
	}
	explanation(&b, r.Text, r.Advice)
	if r.RetryAfter != "" {
		b.WriteString("\nwait:       " + r.RetryAfter + " s at least")
	}
	b.WriteString(hintLine(r.Hint))
	return b.String()
}

// explanation appends the meaning of a refusal or an end, and what to do.
func explanation(b *strings.Builder, means string, advice wsauth.Advice) {
	if means != "" {
		b.WriteString("\nit means:   " + means)
	}
	if advice != "" {
		b.WriteString("\nwhat to do: " + string(advice))
	}
}

// maxAnswer is the maximum size of a response that is read, in bytes.
const maxAnswer = 64 << 10

// readRefusal returns the Refusal for a response. Its texts are safe for a
// terminal. credential reports whether the request carried a credential.
func readRefusal(step Step, resp *http.Response, credential bool) *Refusal {
	r := &Refusal{Step: step, Status: resp.StatusCode}
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		r.RetryAfter = strconv.FormatUint(seconds, 10)
	}
	var body []byte
	if resp.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err == nil {
			r.read(resp.Header.Get("Content-Type"), body)
		}
	}
	if location, err := url.Parse(resp.Header.Get("Location")); err == nil && location.String() != "" && resp.StatusCode/100 == 3 {
		location.RawQuery, location.Fragment, location.User = "", "", nil
		r.Text = "it redirects to " + inspect.Printable(location.String()) + "; credentials are not sent there automatically"
	}
	if r.Advice = adviceOf(r.Status, r.Reason); step == Login && !isGuardReason(r.Reason) && r.Advice == wsauth.AdviceRenew {
		r.Advice = "" // a login is what failed
	}
	r.Hint = r.hint(resp, body, credential)
	if proxy := throughProxy(resp); proxy != "" && !r.own {
		r.Hint = strings.TrimPrefix(r.Hint+"; "+proxy, "; ")
	}
	return r
}

// read extracts the texts from a body that is a problem document (RFC 9457) or
// plain text.
func (r *Refusal) read(contentType string, body []byte) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
	case mediaType == "application/problem+json":
		var p struct {
			Title  string `json:"title"`
			Detail string `json:"detail"`
			Reason string `json:"reason"`
		}
		if json.Unmarshal(body, &p) != nil {
			return
		}
		r.own = true
		r.Reason, r.Text = inspect.Printable(p.Reason), inspect.Printable(p.Detail)
		if p.Detail == "" {
			r.Text = inspect.Printable(p.Title)
		}
	case mediaType == "text/plain":
		line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
		r.Text = inspect.Printable(line)
	}
}
