package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/login"
	"wsauth/token"
)

// ownTokens finds in requests what would let an upstream act at this gateway
// as the client: tickets, and tokens that name the issuer of the gateway or
// one of its keys. Clients send them by mistake, to routes that do not look
// for them: a fetch wrapper that adds the token to each request, or the
// Referer of a page whose URL had a ticket. Signatures are not verified, since
// a token of the same names that is not ours is of no use to anybody.
type ownTokens struct {
	issuer   string // "" if tokens have none
	keys     login.Keys
	verifier *token.Verifier
}

// strip removes them from the query and the header of r, which must be the
// caller's own: a parameter, a cookie, an offered subprotocol, and otherwise
// the line of the header in which one stands.
func (o ownTokens) strip(r *http.Request) {
	in := search{ownTokens: o, ctx: r.Context()}
	if query := r.URL.RawQuery; mayHold(query) {
		if kept := in.without(query, "&"); kept != query {
			r.URL.RawQuery = kept
			r.RequestURI = r.URL.RequestURI()
		}
	}
	for name, lines := range r.Header {
		if slices.ContainsFunc(lines, mayHold) {
			in.stripField(r.Header, name)
		}
	}
}

// mayHold tells texts that are worth a closer look from most others.
func mayHold(s string) bool {
	return strings.Contains(s, jwsStart) || strings.Contains(s, nestedStart) || strings.Contains(s, wsauth.TicketPrefix) || strings.IndexByte(s, '%') >= 0
}

// A search goes through one request.
type search struct {
	ownTokens
	ctx      context.Context
	keys     []*token.Key
	unknown  bool // nobody can tell which keys are ours
	read     bool // keys and unknown are set
	verified int  // signatures
}

// maxVerified bounds the signatures that are verified for one request. What
// comes after them is taken for a token of ours.
const maxVerified = 8

// stripField removes them from a field of h.
func (s *search) stripField(h http.Header, name string) {
	separator := map[string]string{"Cookie": ";", "Sec-Websocket-Protocol": ","}[name]
	lines := h[name]
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		without := s.without(line, separator)
		if without != line && separator != "" {
			without = strings.TrimPrefix(without, " ")
		}
		if without != "" || line == "" {
			kept = append(kept, without)
		}
	}
	if h[name] = kept; len(kept) == 0 {
		delete(h, name)
	}
}

// without returns the parts of a list that hold none. Without a separator the
// list has one part.
func (s *search) without(list, separator string) string {
	parts := []string{list}
	if separator != "" {
		parts = strings.Split(list, separator)
	}
	return strings.Join(slices.DeleteFunc(parts, s.in), separator)
}

// in reports whether text holds a ticket or a token of ours, as it stands or
// with its escapes undone.
func (s *search) in(text string) bool {
	if s.inPlain(text) {
		return true
	}
	return strings.IndexByte(text, '%') >= 0 && s.inPlain(unescape(text))
}

const (
	jwsStart    = "eyJ"  // of a token: {" in base64url
	nestedStart = "ZXlK" // of a token that is itself in base64url, as some subprotocols have it
)

// inPlain is in without the escapes.
func (s *search) inPlain(text string) bool {
	if wsauth.ContainsTicket(text) {
		return true
	}
	if !strings.Contains(text, jwsStart) && !strings.Contains(text, nestedStart) {
		return false
	}
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !isJWSByte(c) }) {
		if s.inWord(word) {
			return true
		}
	}
	return false
}

// isJWSByte reports whether c can be in a compact JWS.
func isJWSByte(c rune) bool {
	return c == '-' || c == '.' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// maxStarts bounds the places of a word at which a token may begin: each costs
// a decoding of what follows. A word with more of them is taken for a token of
// ours.
const maxStarts = 8

// inWord reports whether a token of ours begins somewhere in a word.
func (s *search) inWord(word string) bool {
	starts := 0
	for rest := range suffixesFrom(word, jwsStart) {
		if strings.Count(rest, ".") < 2 {
			break
		}
		if starts++; starts > maxStarts || s.isOurs(rest) {
			return true
		}
	}
	for rest := range suffixesFrom(word, nestedStart) {
		nested, _, _ := strings.Cut(rest, ".")
		if starts++; starts > maxStarts || s.isOurs(string(decodePrefix(nested))) {
			return true
		}
	}
	return false
}

// suffixesFrom yields what s is from each place on at which start stands.
func suffixesFrom(s, start string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := strings.Index(s, start); i >= 0; i = strings.Index(s, start) {
			if s = s[i:]; !yield(s) {
				return
			}
			s = s[1:]
		}
	}
}

// isOurs reports whether text begins with a token of ours.
func (s *search) isOurs(text string) bool {
	header, rest, more := strings.Cut(text, ".")
	payload, signature, signed := strings.Cut(rest, ".")
	if !more || !signed {
		return false
	}
	if s.readKeys(); s.unknown {
		return true // it stays here
	}
	named := false
	isKey := func(kid string) bool {
		named = true
		return slices.ContainsFunc(s.keys, func(k *token.Key) bool { return k.ID() != "" && k.ID() == kid })
	}
	if hasMember(header, "kid", isKey) {
		return true
	}
	if s.issuer != "" {
		return hasMember(payload, "iss", func(iss string) bool { return iss == s.issuer })
	}
	if named || !slices.ContainsFunc(s.keys, func(k *token.Key) bool { return k.ID() == "" }) {
		return false
	}
	// A key without a name leaves none in its tokens: only the signature tells.
	if s.verified++; s.verified > maxVerified {
		return true
	}
	end := strings.IndexByte(signature, '.')
	if end < 0 {
		end = len(signature)
	}
	_, err := s.verifier.Verify(s.ctx, header+"."+payload+"."+signature[:end])
	return err == nil
}

// readKeys asks for the keys, once.
func (s *search) readKeys() {
	if s.read {
		return
	}
	s.read = true
	set, err := s.ownTokens.keys.KeySet(s.ctx, "")
	if err != nil {
		s.unknown = true
		return
	}
	s.keys = set.Keys()
}

// minMember is the length of the shortest segment that has a member of that
// name: {"kid":""} in base64url, of which an escape only makes more.
const minMember = 14

// hasMember reports whether a segment of a token is a JSON object with a
// member of that name whose text is one of those wanted. A name that stands
// twice is looked at twice.
func hasMember(segment, name string, wanted func(string) bool) bool {
	if len(segment) < minMember {
		return false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil || !bytes.Contains(decoded, []byte(name)) && bytes.IndexByte(decoded, '\\') < 0 {
		return false
	}
	d := jsontext.NewDecoder(bytes.NewReader(decoded), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return false
		}
		if key.String() != name || d.PeekKind() != '"' {
			if d.SkipValue() != nil {
				return false
			}
			continue
		}
		value, err := d.ReadToken()
		if err != nil {
			return false
		}
		if wanted(value.String()) {
			return true
		}
	}
	return false
}

// decodePrefix decodes base64 as far as it is valid.
func decodePrefix(s string) []byte {
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(s)))
	n, _ := base64.RawURLEncoding.Decode(decoded, []byte(s)) // an error is the end of it
	return decoded[:n]
}

// unescape undoes the escapes of s that are valid, and leaves the others.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unhex returns the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
