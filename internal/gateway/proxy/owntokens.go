package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/httpx"
	"wsauth/token"
)

// ownTokens finds credentials of this gateway in requests: tickets, and tokens
// that name the gateway's issuer or one of its keys. With them, an upstream
// could act as the client. Clients send them by mistake to routes that do not
// read them, for example if a fetch wrapper adds the token to every request, or
// in the Referer of a page whose URL had a ticket. A token is recognized by the
// names in it, without its signature: a token that uses our names but is not
// ours has no legitimate use. The signature is verified only if neither the
// issuer nor a key ID identifies the token.
type ownTokens struct {
	issuer   string // "" if tokens have no issuer
	keys     Keys
	verifier *token.Verifier
}

// strip removes such credentials from the query and the header of r, which the
// caller must own. It removes the parameter, the cookie or the offered
// subprotocol that holds a credential; in other fields, it removes the whole
// line.
func (o ownTokens) strip(r *http.Request) {
	s := search{ownTokens: o, ctx: r.Context()}
	if query := r.URL.RawQuery; mayHold(query) {
		if kept := s.removeCredentials(query, "&"); kept != query {
			r.URL.RawQuery = kept
			r.RequestURI = r.URL.RequestURI()
		}
	}
	for name, lines := range r.Header {
		if slices.ContainsFunc(lines, mayHold) {
			s.stripField(r.Header, name)
		}
	}
}

// mayHold reports whether s may hold a credential. It is a cheap check that
// excludes most texts.
func mayHold(s string) bool {
	return strings.Contains(s, jwsStart) || strings.Contains(s, nestedStart) || strings.Contains(s, httpx.TicketPrefix) || strings.IndexByte(s, '%') >= 0
}

// A search looks for the gateway's credentials in one request.
type search struct {
	ownTokens
	ctx      context.Context
	keys     []*token.Key
	unknown  bool // the keys could not be read
	read     bool // keys and unknown are set
	verified int  // number of signatures verified
}

// maxVerified limits how many signatures are verified for one request. Further
// tokens are treated as ours.
const maxVerified = 8

// stripField removes credentials from a field of h.
func (s *search) stripField(h http.Header, name string) {
	separator := map[string]string{"Cookie": ";", "Sec-Websocket-Protocol": ","}[name]
	lines := h[name]
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		without := s.removeCredentials(line, separator)
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

// removeCredentials returns list without the parts that hold a credential. If
// separator is "", the list is a single part.
func (s *search) removeCredentials(list, separator string) string {
	parts := []string{list}
	if separator != "" {
		parts = strings.Split(list, separator)
	}
	return strings.Join(slices.DeleteFunc(parts, s.holdsCredential), separator)
}

// holdsCredential reports whether text holds a ticket or a token of ours,
// unchanged or with its percent escapes decoded.
func (s *search) holdsCredential(text string) bool {
	if s.plainHoldsCredential(text) {
		return true
	}
	return strings.IndexByte(text, '%') >= 0 && s.plainHoldsCredential(unescape(text))
}

const (
	jwsStart    = "eyJ"  // start of a token: {" in base64url
	nestedStart = "ZXlK" // start of a token encoded twice, as in some subprotocols
)

// plainHoldsCredential reports whether text, with escapes left as they are,
// holds a ticket or a token of ours.
func (s *search) plainHoldsCredential(text string) bool {
	if httpx.ContainsTicket(text) {
		return true
	}
	if !strings.Contains(text, jwsStart) && !strings.Contains(text, nestedStart) {
		return false
	}
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !isJWSByte(c) }) {
		if s.wordHoldsToken(word) {
			return true
		}
	}
	return false
}

// isJWSByte reports whether c may occur in a compact JWS.
func isJWSByte(c rune) bool {
	return c == '-' || c == '.' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// maxStarts limits the positions in a word at which a token may begin, because
// each costs a decoding of what follows. A word with more of them is treated
// as a token of ours.
const maxStarts = 8

// wordHoldsToken reports whether a token of ours begins anywhere in word.
func (s *search) wordHoldsToken(word string) bool {
	starts := 0
	for rest := range suffixesFrom(word, jwsStart) {
		if strings.Count(rest, ".") < 2 {
			break
		}
		if starts++; starts > maxStarts || s.startsWithOwnToken(rest) {
			return true
		}
	}
	for rest := range suffixesFrom(word, nestedStart) {
		nested, _, _ := strings.Cut(rest, ".")
		if starts++; starts > maxStarts || s.startsWithOwnToken(string(decodePrefix(nested))) {
			return true
		}
	}
	return false
}

// suffixesFrom yields each suffix of s that begins with start.
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

// startsWithOwnToken reports whether text begins with a token of ours.
func (s *search) startsWithOwnToken(text string) bool {
	header, rest, more := strings.Cut(text, ".")
	payload, signature, signed := strings.Cut(rest, ".")
	if !more || !signed {
		return false
	}
	if s.readKeys(); s.unknown {
		return true // fail closed: keep it from the upstream
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
	// A token of a key without an ID does not name its key. Only the signature
	// identifies it.
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

// readKeys reads the key set once.
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

// minMember is the length of the shortest segment in which hasMember can find a
// member: {"kid":""} in base64url. Escapes only make it longer.
const minMember = 14

// hasMember reports whether a segment of a token is a JSON object with a
// string member of that name for whose value wanted returns true. It checks
// every member of a name that occurs more than once.
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

// decodePrefix decodes the longest prefix of s that is valid base64url.
func decodePrefix(s string) []byte {
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(s)))
	n, _ := base64.RawURLEncoding.Decode(decoded, []byte(s)) // decoding stops at the first error
	return decoded[:n]
}

// unescape decodes the valid percent escapes of s and leaves the others.
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
