package wsauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/httpx"
)

// A Subprotocol extracts a token from the list of subprotocols that a client
// offers, which is the only header that pages can set for a WebSocket:
//
//	new WebSocket(url, ["bearer", token])
//
// The handler sees the offer without the token, and its library selects one of
// the other items: a browser fails a socket if none is selected. If only
// "bearer" is left and the handler selects nothing, the guard selects it. It
// never selects an item that contains a token, so a page whose token has a
// Prefix must also offer a subprotocol that the handler selects.
//
// The zero value reads the pair above. With a Prefix, the token is in the same
// item. Known prefixes are
//
//	base64url.bearer.authorization.k8s.io.   Kubernetes
//	base64url.bearer.phx.                    Phoenix
//
// Clients that use these also offer a subprotocol of their own.
type Subprotocol struct {
	// Name is the item before the token. Default: "bearer". Not with Prefix.
	Name string

	// Prefix is the prefix of the item that contains the token. If it begins
	// with "base64url.", the token is encoded in base64url without padding.
	Prefix string
}

func (p Subprotocol) validate() error {
	switch {
	case p.Name != "" && p.Prefix != "":
		return errors.New("Subprotocol: Name contradicts Prefix; use two extractors")
	case p.Name != "" && !httpx.IsToken(p.Name), p.Prefix != "" && !httpx.IsToken(p.Prefix):
		return errors.New("Subprotocol: Name and Prefix are words (RFC 6455 section 4.1, item 10)")
	}
	return nil
}

func (p Subprotocol) name() string {
	if p.Name == "" {
		return "bearer"
	}
	return p.Name
}

// marked returns the indexes at which the offer should contain a token. The
// index is len(offered) if nothing follows the name.
func (p Subprotocol) marked(offered []string) []int {
	var places []int
	for i, item := range offered {
		switch {
		case p.Prefix != "" && strings.HasPrefix(item, p.Prefix):
			places = append(places, i)
		case p.Prefix == "" && item == p.name():
			places = append(places, i+1)
		}
	}
	return places
}

// find returns the index of the item with the token in offered, or -1 if there
// is none. It refuses an offer that names the credential twice, or that
// contains the token again elsewhere.
func (p Subprotocol) find(offered []string) (int, error) {
	places := p.marked(offered)
	if len(places) == 0 {
		return -1, nil
	}
	at := places[0]
	if at == len(offered) {
		return -1, refuseWith(InvalidRequest, "No token follows the subprotocol "+p.name())
	}
	if len(places) > 1 || slices.Contains(offered[:at], offered[at]) || slices.Contains(offered[at+1:], offered[at]) {
		return -1, refuseWith(InvalidRequest, "More than one token among the subprotocols")
	}
	return at, nil
}

// Extract returns the token among the subprotocols that an upgrade offers.
func (p Subprotocol) Extract(r *http.Request, _ Requirement) (Credential, error) {
	if !isUpgrade(r) {
		return Credential{}, nil
	}
	offered := slices.Collect(httpx.Items(r.Header["Sec-Websocket-Protocol"]))
	at, err := p.find(offered)
	if err != nil || at < 0 {
		return Credential{}, err
	}
	raw := strings.TrimPrefix(offered[at], p.Prefix)
	if strings.HasPrefix(p.Prefix, "base64url.") {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(raw)
		if err != nil || strings.ContainsAny(raw, "\r\n") { // the decoder skips these
			return Credential{}, refuseWith(InvalidRequest, "The token among the subprotocols is not base64url")
		}
		raw = string(decoded)
	}
	if raw == "" {
		return Credential{}, refuseWith(InvalidRequest, "The token among the subprotocols is empty")
	}
	return Credential{Token: raw}, nil
}

// marker returns the name of the item before the token, or "" if there is
// none.
func (p Subprotocol) marker(offered []string) string {
	if at, err := p.find(offered); err != nil || at < 0 || p.Prefix != "" {
		return ""
	}
	return p.name()
}

// Subprotocol returns the subprotocol that the response to r must select if the
// server selects none. r is the handshake that [Guard.Admit] has admitted. If
// r offers only a token and the name before it (see [Subprotocol]), the result
// is that name, otherwise "". [Guard.Require] selects it for its handlers.
func (s *Socket) Subprotocol(r *http.Request) string { return s.guard.extractors.subprotocol(r) }

// missing returns the text for a handshake without a token.
func (p Subprotocol) missing(q Requirement) string {
	return "Missing " + string(q.Type()) + " token from Sec-WebSocket-Protocol"
}

// Strip removes the item with the token. From an offer that is refused, it
// removes every item that may be a token.
func (p Subprotocol) Strip(r *http.Request) {
	offered := slices.Collect(httpx.Items(r.Header["Sec-Websocket-Protocol"]))
	tokens := map[string]bool{}
	for _, at := range p.marked(offered) {
		if at < len(offered) {
			tokens[offered[at]] = true
		}
	}
	if len(tokens) == 0 {
		return
	}
	kept := slices.DeleteFunc(offered, func(item string) bool { return tokens[item] })
	if len(kept) == 0 {
		r.Header.Del("Sec-WebSocket-Protocol")
		return
	}
	r.Header.Set("Sec-WebSocket-Protocol", strings.Join(kept, ", "))
}
