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

// A Refusal is an HTTP answer that says no.
type Refusal struct {
	Step       Step
	Status     int
	Reason     string        // the word of the problem document; "" where there is none
	Text       string        // the detail of the problem document, or the first line of a plain text
	Advice     wsauth.Advice // "" where the text says enough
	RetryAfter string        // as the server has it; "" where it says nothing
	Hint       string        // what may be wrong with the command; "" where that is not known

	own bool // a problem document came: a proxy did not answer in the server's place
}

// Error is for a person, in a few lines.
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

// explanation adds what a refusal or an end means, and what to do.
func explanation(b *strings.Builder, means string, advice wsauth.Advice) {
	if means != "" {
		b.WriteString("\nit means:   " + means)
	}
	if advice != "" {
		b.WriteString("\nwhat to do: " + string(advice))
	}
}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// readRefusal makes a Refusal of an answer. What it takes of it is fit for a
// terminal. credential reports that the request had one.
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
		r.Text = "it points to " + inspect.Printable(location.String()) + ", where no credential is sent unasked"
	}
	if r.Advice = adviceOf(r.Status, r.Reason); step == Login && !known(r.Reason) && r.Advice == wsauth.AdviceRenew {
		r.Advice = "" // to log in is what was tried
	}
	r.Hint = r.hint(resp, body, credential)
	if proxy := throughProxy(resp); proxy != "" && !r.own {
		r.Hint = strings.TrimPrefix(r.Hint+"; "+proxy, "; ")
	}
	return r
}

// read takes the words from a body: of a problem document (RFC 9457), or of a plain text.
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
