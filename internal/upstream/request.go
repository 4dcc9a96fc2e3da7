package upstream

import (
	"net/http"
	"strings"
)

// perConnection lists fields that belong to a single connection or that the
// handshake sets itself.
var perConnection = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Http2-Settings": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Sec-Websocket-Extensions": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// appendRequest appends a handshake. The header of r was validated by net/http
// or by the gateway, so no name or value contains a line break.
func appendRequest(b []byte, r *http.Request, extensions []string) []byte {
	b = append(b, "GET "...)
	b = append(b, r.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	for name, values := range r.Header {
		if perConnection[name] {
			continue
		}
		for _, v := range values {
			b = appendField(b, name, v)
		}
	}
	if len(extensions) > 0 {
		b = appendField(b, "Sec-WebSocket-Extensions", strings.Join(extensions, ", "))
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
