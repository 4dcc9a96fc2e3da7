package wsclient

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
)

// A Place is where a handshake carries the credential. The places correspond
// to the library's, except for cookies, which only browsers send.
type Place string

// The places.
const (
	InTicket       Place = "ticket"        // a query parameter, valid once
	InHeader       Place = "header"        // Authorization: Bearer …
	InFirstMessage Place = "first-message" // {"type":"auth","token":"…"}
	InSubprotocol  Place = "subprotocol"   // bearer, …
	InQuery        Place = "query"         // ?token=…
	Nowhere        Place = "none"
)

// defaultNames are the default names of the places.
var defaultNames = map[Place]string{
	InTicket:       "ticket",
	InHeader:       "Authorization",
	InFirstMessage: "auth",
	InSubprotocol:  "bearer",
	InQuery:        "token",
	Nowhere:        "",
}

// A Via is a place and its name. The zero value is Nowhere.
type Via struct {
	Place Place

	// Name is the name of the parameter or header field, the subprotocol
	// before the token, or the type of the first message, auth or
	// connection_init. If the name of a subprotocol ends with a dot, it is a
	// prefix of the token, which is in base64url if the prefix begins with
	// "base64url.". In a header field other than Authorization, the token
	// stands alone.
	Name string
}

// ParseVia parses PLACE or PLACE:NAME.
func ParseVia(text string) (Via, error) {
	place, name, named := strings.Cut(text, ":")
	v := Via{Place(place), name}
	known, ok := defaultNames[v.Place]
	switch {
	case !ok:
		return Via{}, errors.New("must be ticket, header, first-message, subprotocol, query or none, optionally with a name, such as query:access_token")
	case !named:
		v.Name = known
		return v, nil
	case v.Place == Nowhere:
		return Via{}, errors.New("none has no name")
	case (v.Place == InTicket || v.Place == InQuery) && (name == "" || url.QueryEscape(name) != name):
		return Via{}, errors.New("the name of a parameter has no characters that a URL escapes")
	case v.Place == InFirstMessage && name != "auth" && name != "connection_init":
		return Via{}, errors.New("a first message is of the type auth or connection_init")
	case (v.Place == InHeader || v.Place == InSubprotocol) && !isWord(name):
		return Via{}, errors.New("the name of a header field or a subprotocol is one word")
	}
	return v, nil
}

// put adds a credential to a handshake.
func (v Via) put(h *handshake, credential string) error {
	switch v.Place {
	case InTicket, InQuery:
		if h.url.Query().Has(v.Name) {
			return fmt.Errorf("the address of the socket has a parameter %q already", v.Name)
		}
		h.url.RawQuery = strings.TrimPrefix(h.url.RawQuery+"&"+v.Name+"="+url.QueryEscape(credential), "&")
	case InHeader:
		if h.header.Get(v.Name) != "" {
			return fmt.Errorf("there are two values for the header field %s", v.Name)
		}
		if http.CanonicalHeaderKey(v.Name) == "Authorization" {
			credential = "Bearer " + credential
		}
		h.header.Set(v.Name, credential)
	case InSubprotocol:
		items := []string{v.Name, credential}
		if strings.HasSuffix(v.Name, ".") {
			if strings.HasPrefix(v.Name, "base64url.") {
				credential = base64.RawURLEncoding.EncodeToString([]byte(credential))
			}
			items = []string{v.Name + credential}
		}
		if !isWord(credential) {
			return errors.New("a subprotocol cannot carry this token as it is, but one with a prefix such as subprotocol:base64url.bearer.phx. can, if the server accepts it")
		}
		h.protocols = append(items, h.protocols...)
	}
	return nil
}

// introduction returns the first message with a token.
func (v Via) introduction(token string) ([]byte, error) {
	if v.Name == "connection_init" {
		type payload struct {
			Token string `json:"token"`
		}
		return json.Marshal(struct {
			Type    string  `json:"type"`
			Payload payload `json:"payload"`
		}{v.Name, payload{token}})
	}
	return json.Marshal(struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}{v.Name, token})
}

// isWord reports whether s is a token (RFC 9110 section 5.6.2).
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// maxToken is the maximum length of a token in bytes. Servers cannot be
// configured to accept longer ones.
const maxToken = 32 << 10

// CheckToken returns a token without surrounding white space and without a
// preceding "Bearer". Errors contain no part of the token.
func CheckToken(text string) (string, error) {
	token := strings.TrimSpace(text)
	if scheme, rest, found := strings.Cut(token, " "); found && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	switch {
	case token == "":
		return "", errors.New("the token is empty")
	case len(token) > maxToken:
		return "", fmt.Errorf("the token is longer than %d bytes", maxToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f || token[i] == ',' {
			return "", errors.New("the token is not one word of ASCII characters")
		}
	}
	return token, nil
}
