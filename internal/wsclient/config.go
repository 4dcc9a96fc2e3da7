package wsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// A Config describes what to connect to, with which credential, and what to
// send.
type Config struct {
	Target Target

	// User and Password log in. If User is empty, Token is the credential. If
	// both are empty, there is no credential, and Via must be Nowhere.
	User, Password, Token string

	Via    Via
	Header http.Header // added to every request
	// Replaces the host of the target in requests, unless empty.
	Host string
	// Origin of the handshake and of the request for a ticket, unless empty.
	Origin       string
	Subprotocols []string

	Send  []string      // text messages to send first
	Input <-chan Line   // text messages to send afterwards; may be nil
	Count int           // close after so many messages; 0: no limit
	Wait  time.Duration // close after this time; 0: no limit

	NoRenew     bool // do not renew the access token
	KeepSession bool // do not log out at the end

	// InsecurePlaintext allows sending credentials over http to other
	// machines.
	InsecurePlaintext bool

	// Timeout of a request, of the handshake, and of sending a message.
	// Required.
	Timeout    time.Duration
	MaxMessage int64       // maximum size of a received message; required
	TLS        *tls.Config // nil: the system's
	Report     *Reporter   // required
}

// A Line is a line of input, or its end.
type Line struct {
	Text string
	Err  error // the input failed
	Done bool  // the user ended the input
}

// own lists header fields that have their own setting or must not be set.
var own = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Origin": true, "Sec-Websocket-Accept": true,
	"Sec-Websocket-Extensions": true, "Sec-Websocket-Key": true, "Sec-Websocket-Protocol": true, "Sec-Websocket-Version": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// AddHeader adds a header field, written as NAME:VALUE.
func (c *Config) AddHeader(text string) error {
	name, value, found := strings.Cut(text, ":")
	value = strings.Trim(value, " \t")
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !found || !isWord(name):
		return errors.New("must be NAME:VALUE")
	// RFC 9110 section 5.5.
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Errorf("the value of %s has control characters", key)
	case own[key]:
		return fmt.Errorf("%s cannot be set with --header; use --origin or --subprotocol, or leave it out", key)
	case key == "Host":
		c.Host = value
		return nil
	}
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Add(key, value)
	return nil
}

// Check validates the configuration.
func (c *Config) Check() error {
	switch {
	case c.Report == nil || c.Timeout <= 0 || c.MaxMessage <= 0 || c.Target.Socket == nil || c.Target.Auth == nil:
		return errors.New("wsclient: Config: Target, Report, Timeout and MaxMessage are required")
	case c.User == "" && c.Token == "" && c.Via.Place != Nowhere && c.Via.Place != "":
		return fmt.Errorf("there is no credential to send by %s", c.Via.Place)
	case !utf8.ValidString(c.User) || !utf8.ValidString(c.Password):
		return errors.New("the name or the password is not UTF-8")
	}
	for _, p := range c.Subprotocols {
		if !isWord(p) {
			return fmt.Errorf("the subprotocol %q is not one word", p)
		}
	}
	for _, text := range c.Send {
		if !utf8.ValidString(text) {
			return errNotText
		}
	}
	return c.checkPlaintext()
}

// checkPlaintext returns an error if a credential would be sent in plain text
// over the network.
func (c *Config) checkPlaintext() error {
	if c.InsecurePlaintext {
		return nil
	}
	secret := c.hasCredential() || c.Header.Get("Proxy-Authorization") != ""
	used := []*url.URL{c.Target.Socket}
	if c.User != "" || c.Via.Place == InTicket {
		used = append(used, c.Target.Auth)
	}
	for _, u := range used {
		if secret && isExposed(u) {
			return fmt.Errorf("a credential would go over the network to %s in plain text: use wss:// or https://, or allow it with --insecure-plaintext", u.Host)
		}
	}
	return nil
}

// hasCredential reports whether the handshake carries a credential.
func (c *Config) hasCredential() bool {
	return c.User != "" || c.Token != "" || c.Header.Get("Authorization") != "" || c.Header.Get("Cookie") != ""
}
