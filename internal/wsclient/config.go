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

// A Config says what to connect to, as whom, and what to do then.
type Config struct {
	Target Target

	// User and Password log in. Without a User, Token is the credential; without both there is none, and Via is Nowhere.
	User, Password, Token string

	Via          Via
	Header       http.Header // of every request
	Host         string      // that the requests name instead of that of the target; "" is none
	Origin       string      // of the handshake, and of the request for the ticket; "" is none
	Subprotocols []string

	Send  []string      // text messages that are sent first
	Input <-chan Line   // text messages that are sent then; nil for none
	Count int           // messages after whose arrival the socket is closed; 0 is no limit
	Wait  time.Duration // after which the socket is closed; 0 is no limit

	NoRenew     bool // let the access token expire
	KeepSession bool // do not log out at the end

	// InsecurePlaintext sends credentials over http to other machines too.
	InsecurePlaintext bool

	Timeout    time.Duration // of a request, of the handshake, of a message that is sent; more than 0
	MaxMessage int64         // bytes of a message that comes; more than 0
	TLS        *tls.Config   // nil for that of the system
	Report     *Reporter     // required
}

// A Line is one line of input, or its end.
type Line struct {
	Text string
	Err  error // what is wrong with the input
	Done bool  // the user wants no more
}

// own are the header fields of which there is a better way to set them, or none.
var own = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Origin": true, "Sec-Websocket-Accept": true,
	"Sec-Websocket-Extensions": true, "Sec-Websocket-Key": true, "Sec-Websocket-Protocol": true, "Sec-Websocket-Version": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// AddHeader reads NAME:VALUE.
func (c *Config) AddHeader(text string) error {
	name, value, found := strings.Cut(text, ":")
	value = strings.Trim(value, " \t")
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !found || !isWord(name):
		return errors.New("must be NAME:VALUE")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }): // RFC 9110 section 5.5
		return fmt.Errorf("the value of %s has control characters", key)
	case own[key]:
		return fmt.Errorf("%s is not set here: there is --origin, --subprotocol, or no need for it", key)
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

// Check says what is wrong. Nothing is sent.
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

// checkPlaintext refuses to send a credential where others read it.
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
		if secret && Exposed(u) {
			return fmt.Errorf("a credential would go over the network to %s in plain text: use wss:// or https://, or allow it with --insecure-plaintext", u.Host)
		}
	}
	return nil
}

// hasCredential reports whether the handshake says who the client is.
func (c *Config) hasCredential() bool {
	return c.User != "" || c.Token != "" || c.Header.Get("Authorization") != "" || c.Header.Get("Cookie") != ""
}
