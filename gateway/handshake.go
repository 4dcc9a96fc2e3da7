package gateway

import (
	"bufio"
	"bytes"
	"net/http"

	"wsauth/internal/httpx"
)

// readHandshake reads the head of an upgrade that is as every client writes it, and whole; it returns nil for anything else, however
// right that may be, for net/http to read or to refuse. So this reads no request in another way than net/http does. An event loop calls
// it, which the thousands of fields that a long head has room for would hold up for milliseconds.
func readHandshake(data []byte) *http.Request {
	if len(data) > mostAtOnce || !isPlainHead(data) {
		return nil
	}
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(data), len(data)))
	if err != nil || !isPlainHost(r.Host) {
		return nil
	}
	r.Body = http.NoBody
	return r
}

var (
	lineEnd = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
)

// isPlainHead reports whether data is the head of a GET of HTTP/1.1, and nothing behind it: printable ASCII, lines that end as they
// should and go on nowhere, one host, an upgrade, and no body.
func isPlainHead(data []byte) bool {
	head, ok := bytes.CutSuffix(data, headEnd)
	if !ok || bytes.Contains(head, headEnd) {
		return false
	}
	line, fields, ok := bytes.Cut(head, lineEnd)
	if !ok || !isPlainRequestLine(line) {
		return false
	}
	var hosts, upgrades int
	for more := true; more; {
		line, fields, more = bytes.Cut(fields, lineEnd)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !httpx.IsToken(string(name)) || !isPrintable(value) {
			return false
		}
		switch {
		case bytes.EqualFold(name, []byte("Host")):
			hosts++
		case bytes.EqualFold(name, []byte("Upgrade")):
			upgrades++
		case isOfBody(name):
			return false
		}
	}
	return hosts == 1 && upgrades == 1
}

// isPlainRequestLine reports whether line is that of a GET, with a path as its target (RFC 9112 section 3).
func isPlainRequestLine(line []byte) bool {
	target, ok := bytes.CutPrefix(line, []byte("GET /"))
	if !ok {
		return false
	}
	target, ok = bytes.CutSuffix(target, []byte(" HTTP/1.1"))
	return ok && isPrintable(target) && !bytes.ContainsAny(target, " \t")
}

// isOfBody reports whether a field says that there is a body, or that the client waits before it sends one.
func isOfBody(name []byte) bool {
	for _, of := range [...]string{"Content-Length", "Transfer-Encoding", "Expect", "Trailer"} {
		if bytes.EqualFold(name, []byte(of)) {
			return true
		}
	}
	return false
}

// isPrintable reports whether text is printable ASCII, blanks included.
func isPrintable(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}
