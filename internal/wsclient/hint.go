package wsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
)

// A Failure is an error with a hint about what to do.
type Failure struct {
	Err  error
	Hint string
}

// Error describes the failure for a person, in two lines.
func (f *Failure) Error() string { return f.Err.Error() + hintLine(f.Hint) }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// hintLine formats a hint as a line, or returns "" if there is none.
func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "\nhint:       " + hint
}

// unreachable returns an error that says why u has not answered a request,
// with a hint if possible. what names the request.
func unreachable(what string, u *url.URL, err error) error {
	hint := hintOfDial(u, err)
	text := errtext.Of(err)
	if hint != "" {
		text = errtext.Cause(err)
	}
	if errors.Is(err, io.EOF) {
		text = "the server closed the connection"
	}
	if strings.Contains(text, malformed) { // the text quotes the answer
		text = inspect.Printable(text)
	}
	return &Failure{rewordedError{what + " " + u.Host + ": " + text, err}, hint}
}

// rewordedError replaces the text of an error.
type rewordedError struct {
	text string
	error
}

func (w rewordedError) Error() string { return w.text }
func (w rewordedError) Unwrap() error { return w.error }

// malformed begins the error of net/http for a response that is not HTTP. The
// error quotes the response. If the server expects TLS, the response is an
// alert, and the quotation begins with tlsAlert (RFC 8446 section 5.1).
const (
	malformed = "malformed HTTP "
	tlsAlert  = `"\x15\x03`
)

// hintOfDial returns a hint for an error of a connection to u.
func hintOfDial(u *url.URL, err error) string {
	plain, secure := "ws://", "wss://"
	if u.Scheme == "https" {
		plain = "ws:// (or http://)"
	}
	dns, unknown := errors.AsType[*net.DNSError](err)
	op, _ := errors.AsType[*net.OpError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	alert, alerted := errors.AsType[tls.AlertError](err)
	text := err.Error()
	_, refused := errors.AsType[*proxyRefusal](err)
	switch {
	case refused, op != nil && op.Op == "proxyconnect":
		return "the proxy is set by HTTP_PROXY or HTTPS_PROXY; NO_PROXY lists hosts to reach without it"
	case unknown && dns.IsNotFound:
		return "check the spelling"
	case unknown:
		return "check the network and the resolver"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the server running, and is this its port?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "check the address and the network"
	case untrusted:
		return "--ca=FILE trusts the issuer of a test server, --insecure-skip-verify anybody"
	case errors.Is(err, http.ErrSchemeMismatch), noTLS:
		return "the server does not speak TLS on this port: use " + plain
	case alerted && strings.Contains(alert.Error(), "certificate required"):
		return "the server asks for a certificate of the client, and this command has none"
	case strings.Contains(text, malformed) && strings.Contains(text, tlsAlert):
		return "the server speaks TLS on this port: use " + secure
	case strings.Contains(text, malformed):
		return "the program that answers there is not an HTTP server: check the port"
	case u.Scheme == "http" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)):
		return "the server closed the connection without an answer: if it speaks TLS on this port, use " + secure
	}
	return ""
}

// A proxyRefusal is the response of a proxy that refuses to connect to a
// server.
type proxyRefusal struct {
	proxy  string
	status int
}

func (p *proxyRefusal) Error() string {
	return fmt.Sprintf("the proxy %s refuses to connect: %d %s", p.proxy, p.status, http.StatusText(p.status))
}

// onProxyConnect checks the response of a proxy to CONNECT.
func onProxyConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{proxy.Host, resp.StatusCode}
}

// throughProxy returns a hint if a response came through a proxy set in the
// environment, or else "". Over TLS, responses always come from the server.
func throughProxy(resp *http.Response) string {
	if resp.Request == nil || resp.Request.URL.Scheme != "http" {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(resp.Request)
	if proxy == nil || err != nil {
		return ""
	}
	return "the answer came through the proxy " + inspect.Printable(proxy.Host) + " (HTTP_PROXY), or from it"
}

// isForTLS reports whether a response says that a plain request reached a port
// that expects TLS, in the words of Go, nginx, Apache and others.
func isForTLS(status int, body []byte) bool {
	if status != http.StatusBadRequest && status != http.StatusUpgradeRequired && status != 497 {
		return false
	}
	text := strings.ToLower(string(body))
	return slices.ContainsFunc([]string{
		"http request to an https server", "http request was sent to https port", "plain http to an ssl-enabled",
		"requires tls", "http requests are not supported on this port, use https",
	}, func(phrase string) bool { return strings.Contains(text, phrase) })
}

// hint returns a hint for a refusal whose text does not say what to do.
// credential reports whether the request carried a credential.
func (r *Refusal) hint(resp *http.Response, body []byte, credential bool) string {
	var path string
	var from *url.URL
	if resp.Request != nil {
		from = resp.Request.URL
		path = inspect.Printable(from.EscapedPath())
	}
	asksForBasic := slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), func(challenge string) bool {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		return strings.EqualFold(scheme, "Basic")
	})
	switch {
	case isForTLS(r.Status, body):
		return "the server speaks TLS on this port: use wss:// (or https://)"
	case r.Status == http.StatusUnauthorized && asksForBasic && r.Step != Login && r.Step != Handshake:
		return "the server asks for HTTP Basic here, but the token of the login needs the Authorization field: exempt " + path + " from HTTP Basic"
	case r.Status == http.StatusUnauthorized && asksForBasic:
		return "the server asks for HTTP Basic: send it with --header='Authorization: Basic …'"
	case r.Step == Login || r.Step == GetTicket:
		if r.Status == http.StatusNotFound || r.Status == http.StatusMethodNotAllowed {
			return path[:strings.LastIndex(path, "/")+1] + " was used as the address of the login endpoints; set another one with --auth-prefix"
		}
		return r.hintOfGateway()
	case r.Step != Handshake:
		return ""
	}
	switch r.Status {
	case http.StatusUnauthorized:
		if !credential {
			return "no credential was sent: log in with --user=NAME, or give a token with --token-file=FILE"
		}
	case http.StatusNotFound:
		return "there is nothing at " + path + ": check the path"
	case http.StatusMethodNotAllowed:
		return path + " does not accept GET, so it serves no WebSocket: check the path"
	case http.StatusSwitchingProtocols:
	}
	switch {
	case r.Status/100 == 2:
		return "a page or an API answers at " + path + ", no WebSocket server: check the path; a proxy in front must forward Upgrade and Connection"
	case r.Status/100 == 3:
		return hintOfRedirect(from, resp)
	case r.own:
		return ""
	}
	switch r.Status {
	case http.StatusForbidden:
		return "the server, or a proxy in front, may want the Origin of a page (--origin) or a credential"
	case http.StatusUpgradeRequired:
		if versions := resp.Header.Get("Sec-WebSocket-Version"); versions != "" && versions != "13" {
			return "the server takes version " + inspect.Printable(versions) + " of the protocol, and not 13 (RFC 6455)"
		}
		return "the server received no request for a WebSocket: a proxy in front must forward Upgrade and Connection"
	}
	return r.hintOfGateway()
}

// hintOfGateway returns a hint for responses that only gateways and proxies
// give.
func (r *Refusal) hintOfGateway() string {
	if !r.own && (r.Status == http.StatusBadGateway || r.Status == http.StatusGatewayTimeout) {
		return "the answer is from a proxy that cannot reach the server behind it"
	}
	return ""
}

// hintOfRedirect returns a hint for a redirect: where to connect instead, or
// that a login may be required.
func hintOfRedirect(from *url.URL, resp *http.Response) string {
	to, err := resp.Location()
	if err != nil || from == nil {
		return ""
	}
	if strings.TrimSuffix(to.Path, "/") != strings.TrimSuffix(from.Path, "/") {
		return "it redirects to another page: the path may be wrong, or the server may require a login first"
	}
	to.User, to.RawQuery, to.Fragment = nil, "", ""
	switch to.Scheme {
	case "http":
		to.Scheme = "ws"
	case "https":
		to.Scheme = "wss"
	default:
		return ""
	}
	return "if that is the server you mean, connect to " + inspect.Printable(to.String())
}
