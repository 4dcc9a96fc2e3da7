package front

import (
	"bufio"
	"bytes"
	"net/http"

	"wsauth/internal/httpx"
)

// maxHandshake is the maximum length of a handshake that an event loop parses,
// in bytes. A longer head may have thousands of fields, which would block the
// loop for milliseconds.
const maxHandshake = 8 << 10

// ReadHandshake parses data as a complete upgrade request in its usual form. It
// returns nil for anything else, even if it is valid: net/http then parses or
// refuses it. So every request is parsed as net/http parses it.
func ReadHandshake(data []byte) *http.Request {
	if len(data) > maxHandshake || !isPlainHead(data) {
		return nil
	}
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(data), len(data)))
	if err != nil || !httpx.IsHost(r.Host) {
		return nil
	}
	r.Body = http.NoBody
	return r
}

var (
	lineEnd = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
)

// isPlainHead reports whether data is exactly the head of an HTTP/1.1 GET: in
// printable ASCII, with lines that end in CRLF and are not folded, one Host,
// one Upgrade, and no body.
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
		case announcesBody(name):
			return false
		}
	}
	return hosts == 1 && upgrades == 1
}

// isPlainRequestLine reports whether line is the request line of a GET whose
// target is a path (RFC 9112 section 3).
func isPlainRequestLine(line []byte) bool {
	target, ok := bytes.CutPrefix(line, []byte("GET /"))
	if !ok {
		return false
	}
	target, ok = bytes.CutSuffix(target, []byte(" HTTP/1.1"))
	return ok && isPrintable(target) && !bytes.ContainsAny(target, " \t")
}

// announcesBody reports whether a field announces a body or a client that waits
// before it sends one.
func announcesBody(name []byte) bool {
	for _, bodyField := range [...]string{"Content-Length", "Transfer-Encoding", "Expect", "Trailer"} {
		if bytes.EqualFold(name, []byte(bodyField)) {
			return true
		}
	}
	return false
}

// isPrintable reports whether text is printable ASCII, spaces and tabs
// included.
func isPrintable(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}
