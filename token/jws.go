package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
)

// The maximum length of a token in bytes: default, and largest setting.
const (
	defaultMaxBytes = 8 << 10
	limitMaxBytes   = 64 << 10
)

// base64url is the encoding of RFC 7515 section 2 in canonical form: no
// padding, unused bits zero.
var base64url = base64.RawURLEncoding.Strict()

// inAlphabet holds the bytes of the base64url alphabet. The reader checks them
// itself, because the standard decoder skips line breaks.
var inAlphabet = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		in[c] = true
	}
	return in
}()

// A jws holds the parts of a compact JWS (RFC 7515 section 7.1), not yet
// verified. Its slices belong to the scratch that read it.
type jws struct {
	header    []byte // JSON
	payload   []byte
	signature []byte
	signed    []byte // the signing input

	parameters
}

// parameters are the header parameters that we read.
type parameters struct {
	alg    Algorithm // "" when unknown
	kid    []byte
	typ    []byte
	hasKid bool
	hasTyp bool
}

// scratch is the memory needed to read one token.
type scratch struct {
	raw     []byte
	decoded []byte
	object  *objectReader
	jws     jws
	found   verified // what has been verified of jws so far

	// The last header and its parameters. The tokens of one issuer all have
	// the same header.
	header     []byte
	parameters parameters
}

// maxKeptHeader is the longest header in bytes that is kept for the next
// token.
const maxKeptHeader = 256

var scratches = sync.Pool{New: func() any { return &scratch{object: newObjectReader()} }}

// readJWS splits raw and decodes it: length, alphabet, segments, base64url,
// header. It does not look at the payload.
func (s *scratch) readJWS(raw string, maxBytes int) (*jws, error) {
	if len(raw) > maxBytes {
		return nil, refuse(ErrMalformed, "longer than MaxBytes (max_token)")
	}
	var dots [2]int
	segments := 1
	for i := range len(raw) {
		switch {
		case inAlphabet[raw[i]]:
		case raw[i] != '.':
			return nil, refuse(ErrMalformed, "a byte outside of base64url")
		case segments == 3:
			return nil, refuse(ErrMalformed, "more than three segments")
		default:
			dots[segments-1] = i
			segments++
		}
	}
	if segments < 3 {
		return nil, refuse(ErrSegments, "a token has three parts, with dots between them")
	}
	s.raw = append(s.raw[:0], raw...)
	s.decoded = slices.Grow(s.decoded[:0], len(raw))
	j := &s.jws
	*j = jws{signed: s.raw[:dots[1]]}
	var err error
	if j.header, err = s.decode("header", s.raw[:dots[0]]); err != nil {
		return nil, err
	}
	if j.payload, err = s.decode("payload", s.raw[dots[0]+1:dots[1]]); err != nil {
		return nil, err
	}
	if j.signature, err = s.decode("signature", s.raw[dots[1]+1:]); err != nil {
		return nil, err
	}
	return j, s.readHeader(j)
}

// decode appends a decoded segment to s.decoded, which has enough capacity.
func (s *scratch) decode(name string, segment []byte) ([]byte, error) {
	begin := len(s.decoded)
	decoded, err := base64url.AppendDecode(s.decoded, segment)
	if err != nil {
		return nil, refuse(ErrMalformed, name+": base64url is not canonical")
	}
	s.decoded = decoded
	return decoded[begin:], nil
}

// refusedParameters contain a key, or announce compression, nesting, or rules
// that must be obeyed (RFC 7515 sections 4.1.3, 4.1.10 and 4.1.11, RFC 7516
// sections 4.1.2 and 4.1.3, RFC 7797 section 3). A token that has one is
// refused rather than read without it.
var refusedParameters = []string{"crit", "b64", "jwk", "zip", "cty", "enc"}

// unusedParameters identify a certificate or a key, or say where to find one
// (RFC 7515 sections 4.1.2, 4.1.5 to 4.1.8). Microsoft and others send them
// with every token. They are ignored and nothing is fetched: keys come only
// from the configuration.
var unusedParameters = []string{"jku", "x5u", "x5c", "x5t", "x5t#S256"}

// readParameters are the only parameters that we read.
var readParameters = []string{"alg", "kid", "typ"}

// readHeader parses the header of j strictly, unless it equals the last one.
func (s *scratch) readHeader(j *jws) error {
	if len(s.header) > 0 && bytes.Equal(j.header, s.header) {
		j.parameters = s.parameters
		return nil
	}
	if err := s.parseHeader(j); err != nil {
		return err
	}
	if len(j.header) <= maxKeptHeader {
		s.header = append(s.header[:0], j.header...)
		s.parameters = j.parameters
		s.parameters.kid, s.parameters.typ = bytes.Clone(j.kid), bytes.Clone(j.typ)
	}
	return nil
}

func (s *scratch) parseHeader(j *jws) error {
	err := s.object.read(j.header, func(m member) error {
		switch string(m.name) {
		case "alg":
			alg, err := headerString(m)
			j.alg = suites[Algorithm(alg)].name
			return err
		case "kid":
			kid, err := headerString(m)
			j.kid, j.hasKid = kid, true
			return err
		case "typ":
			typ, err := headerString(m)
			j.typ, j.hasTyp = typ, true
			return err
		}
		return checkParameter(m.name)
	})
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	if err != nil {
		return refuse(ErrMalformed, "header: "+err.Error())
	}
	return nil
}

// checkParameter refuses forbidden parameters. It also refuses parameters that
// we read if they are spelled in another case: a lenient reader would read them
// as the real ones.
func checkParameter(name []byte) error {
	for _, refused := range refusedParameters {
		if bytes.EqualFold(name, []byte(refused)) {
			return refuse(ErrMalformed, "header: "+refused+" is not allowed")
		}
	}
	for _, read := range readParameters {
		if bytes.EqualFold(name, []byte(read)) {
			return refuse(ErrMalformed, "header: "+read+" in another case")
		}
	}
	return nil
}

// headerString returns the value of a parameter that must be a non-empty
// string.
func headerString(m member) ([]byte, error) {
	if m.value[0] != '"' {
		return nil, refuse(ErrMalformed, "header: "+string(m.name)+" is not a string")
	}
	text, err := unquote(m.value)
	if err != nil {
		return nil, refuse(ErrMalformed, "header: "+errNotStrict.Error())
	}
	if len(text) == 0 {
		return nil, refuse(ErrMalformed, "header: "+string(m.name)+" is empty")
	}
	if fault := nameFault(string(text)); fault != "" {
		return nil, refuse(ErrMalformed, "header: "+string(m.name)+" "+fault)
	}
	return text, nil
}
