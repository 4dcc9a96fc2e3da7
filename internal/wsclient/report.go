package wsclient

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/inspect"
)

// A Reporter prints messages to Out and everything else to Err. If JSON is
// set, it prints everything to Out, one object per line.
type Reporter struct {
	Out, Err io.Writer
	JSON     bool
	Escape   bool // Out is a terminal

	mu      sync.Mutex
	secrets []string
}

// A message is a received message.
type message struct {
	binary bool
	data   []byte
}

// An event is an object of the JSON output.
type event struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"`
	User   string    `json:"user,omitzero"`
	Until  string    `json:"expires_at,omitzero"` // of the access token
	Millis *int64    `json:"ms,omitzero"`
	Proto  string    `json:"subprotocol,omitzero"`
	// Type of a message: text or binary.
	Type   string  `json:"type,omitzero"`
	Data   *string `json:"data,omitzero"` // content of a text message
	Base64 *string `json:"base64,omitzero"`
	By     Side    `json:"by,omitzero"`
	Code   int     `json:"code,omitzero"`
	Step   Step    `json:"step,omitzero"`
	Status int     `json:"status,omitzero"`
	Reason string  `json:"reason,omitzero"`
	Text   string  `json:"text,omitzero"`
	Advice string  `json:"advice,omitzero"`
	Wait   string  `json:"retry_after,omitzero"` // seconds
	Hint   string  `json:"hint,omitzero"`
}

// maxSecrets is the number of secrets that are remembered, enough for a few
// renewals.
const maxSecrets = 32

// Hide removes a secret from all output except messages.
func (r *Reporter) Hide(secret string) {
	if len(secret) < 8 {
		return // too short: it would match ordinary words
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secret)
	r.secrets = r.secrets[max(0, len(r.secrets)-maxSecrets):]
}

// Redact returns text without secrets.
func (r *Reporter) Redact(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// Warn prints a warning.
func (r *Reporter) Warn(text string) error {
	return r.tell(event{Event: "warning", Text: text}, "warning: "+text)
}

func (r *Reporter) loggedIn(user string, a *Account, renewed bool) error {
	text := "logged in as " + inspect.Printable(user)
	if a.life > 0 {
		text += fmt.Sprintf("; the access token is valid for %s", a.life)
		if renewed {
			text += " and will be renewed"
		}
	}
	return r.tell(event{Event: "logged_in", User: user, Until: moment(a.expires)}, text)
}

func (r *Reporter) opened(took time.Duration, protocol string) error {
	text := fmt.Sprintf("open after %d ms", took.Milliseconds())
	if protocol != "" {
		text += ", subprotocol " + inspect.Printable(protocol)
	}
	millis := took.Milliseconds()
	return r.tell(event{Event: "opened", Millis: &millis, Proto: protocol}, text)
}

func (r *Reporter) authenticated(expiresAt int64) error {
	e := event{Event: "authenticated"}
	if expiresAt > 0 && expiresAt < 1<<37 {
		e.Until = moment(time.Unix(expiresAt, 0))
	}
	return r.tell(e, "the server accepted the first message")
}

func (r *Reporter) renewed(a *Account) error {
	return r.tell(event{Event: "renewed", Until: moment(a.expires)}, fmt.Sprintf("session renewed: the access token is valid for %s", a.life))
}

// renewalFailed reports a failed renewal. last is set if there will be no
// other attempt.
func (r *Reporter) renewalFailed(err error, last bool) error {
	text := "session not renewed: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	if last {
		text += "; the socket stays open until its token expires"
	}
	return r.tell(event{Event: "renewal_failed", Text: text}, text)
}

func (r *Reporter) loggedOut() error { return r.tell(event{Event: "logged_out"}, "logged out") }

// ended reports how the socket was closed. It prints text only after a normal
// closure: otherwise the text is the error of the command.
func (r *Reporter) ended(e *End) error {
	means, advice := e.explain()
	text := ""
	if e.Normal() {
		text = e.Error()
	}
	return r.tell(event{Event: "closed", By: e.By, Code: e.Code, Reason: e.Reason, Text: means, Advice: string(advice)}, text)
}

// reportRefusal reports a refusal in JSON only: the text is the error of the
// command.
func (r *Reporter) reportRefusal(e *Refusal) error {
	return r.tell(event{Event: "refused", Step: e.Step, Status: e.Status, Reason: e.Reason, Text: e.Text, Advice: string(e.Advice), Wait: e.RetryAfter, Hint: e.Hint}, "")
}

// failed reports a failure in JSON only: the text is the error of the command.
func (r *Reporter) failed(err error) error {
	e := event{Event: "failed", Text: err.Error()}
	if f, ok := errors.AsType[*Failure](err); ok {
		e.Text, e.Hint = f.Err.Error(), f.Hint
	}
	return r.tell(e, "")
}

// moment formats a time as in JSON, or returns "" if it is zero.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// tell prints an event, as JSON or as line. If line is empty, it prints JSON
// only.
func (r *Reporter) tell(e event, line string) error {
	if r.JSON {
		e.Reason, e.Text, e.Proto, e.Hint = r.Redact(e.Reason), r.Redact(e.Text), r.Redact(e.Proto), r.Redact(e.Hint)
		return r.object(e)
	}
	if line == "" {
		return nil
	}
	return r.print(r.Err, r.Redact(line)+"\n")
}

func (r *Reporter) object(e event) error {
	e.Time = time.Now().UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("print an event: %w", err)
	}
	text := string(line)
	if r.Escape {
		text = inspect.Escape(text)
	}
	return r.print(r.Out, text+"\n")
}

func (r *Reporter) message(m *message) error {
	switch {
	case r.JSON && m.binary:
		encoded := base64.StdEncoding.EncodeToString(m.data)
		return r.object(event{Event: "message", Type: "binary", Base64: &encoded})
	case r.JSON:
		text := string(m.data)
		return r.object(event{Event: "message", Type: "text", Data: &text})
	case m.binary:
		return r.print(r.Out, binaryLine(m.data)+"\n")
	case r.Escape:
		return r.print(r.Out, escape(string(m.data))+"\n")
	}
	return r.print(r.Out, string(m.data)+"\n")
}

// shownBytes is the number of bytes of a binary message that are printed.
const shownBytes = 32

// binaryLine formats a binary message as one line.
func binaryLine(data []byte) string {
	if len(data) <= shownBytes {
		return fmt.Sprintf("(binary, %d bytes: %s)", len(data), hex.EncodeToString(data))
	}
	return fmt.Sprintf("(binary, %d bytes: %s…)", len(data), hex.EncodeToString(data[:shownBytes]))
}

func (r *Reporter) print(w io.Writer, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// escape escapes characters that control a terminal, except line breaks and
// tabs. See [inspect.Escape].
func escape(text string) string {
	var b strings.Builder
	for text != "" {
		end := strings.IndexAny(text, "\n\t")
		if end < 0 {
			b.WriteString(inspect.Escape(text))
			break
		}
		b.WriteString(inspect.Escape(text[:end]))
		b.WriteByte(text[end])
		text = text[end+1:]
	}
	return b.String()
}
