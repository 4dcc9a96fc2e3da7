package token

import (
	"bytes"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits for the JSON of a header or a payload. Real tokens stay far below;
// each limit bounds the work of the reader.
const (
	maxDepth      = 16   // nested arrays and objects, including the outermost
	maxValues     = 1024 // names, values and closing brackets, at all depths
	maxNumberSize = 64   // bytes of one number

	// maxNameSize is the maximum length in bytes of a string that names
	// something, such as a subject or a key.
	maxNameSize = 256
)

var (
	errNotObject = errors.New("not a JSON object")
	errNotStrict = errors.New("not strict JSON")
	errDuplicate = errors.New("a duplicate name")
	errTooDeep   = errors.New("nested too deeply")
	errTooMany   = errors.New("too many values")
	errNumber    = errors.New("a number is too long")
)

// objectReader parses one JSON object by the rules of RFC 7493: UTF-8, no lone
// surrogates, no duplicate names. Its errors contain nothing of the input. It
// can be reused, but not concurrently.
type objectReader struct {
	data    []byte
	buffer  bytes.Buffer
	decoder *jsontext.Decoder
	values  int
}

func newObjectReader() *objectReader {
	r := new(objectReader)
	r.decoder = jsontext.NewDecoder(&r.buffer)
	return r
}

// A member is a name and a value of an object.
type member struct {
	name  []byte // unquoted
	value []byte // JSON, a slice of the input
	at    int    // offset of the value in the input
}

// read calls visit for each member of the object in data, which must contain
// nothing else.
func (r *objectReader) read(data []byte, visit func(member) error) error {
	r.data, r.values = data, 0
	r.buffer = *bytes.NewBuffer(data)
	r.decoder.Reset(&r.buffer)
	if r.decoder.PeekKind() != '{' {
		return errNotObject
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return strictError(err)
	}
	for r.decoder.PeekKind() != '}' {
		name, _, err := r.scalar()
		if err != nil {
			return err
		}
		if name, err = unquote(name); err != nil {
			return errNotStrict
		}
		value, at, err := r.value()
		if err != nil {
			return err
		}
		if err := visit(member{name, value, at}); err != nil {
			return err
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return strictError(err)
	}
	if _, err := r.decoder.ReadToken(); err != io.EOF {
		return errNotStrict
	}
	return nil
}

// value reads the value of a member, including everything nested in it.
func (r *objectReader) value() (value []byte, at int, err error) {
	if kind := r.decoder.PeekKind(); kind != '{' && kind != '[' {
		return r.scalar()
	}
	outside := r.decoder.StackDepth()
	for at = -1; at < 0 || r.decoder.StackDepth() > outside; {
		switch r.decoder.PeekKind() {
		case '{', '[', '}', ']':
			if _, err := r.decoder.ReadToken(); err != nil {
				return nil, 0, strictError(err)
			}
			if at < 0 {
				at = int(r.decoder.InputOffset()) - 1
			}
			if r.decoder.StackDepth() > maxDepth {
				return nil, 0, errTooDeep
			}
			if r.values++; r.values > maxValues {
				return nil, 0, errTooMany
			}
		default:
			if _, _, err := r.scalar(); err != nil {
				return nil, 0, err
			}
		}
	}
	return r.data[at:r.decoder.InputOffset()], at, nil
}

// scalar reads a name, or a value that is neither an array nor an object.
func (r *objectReader) scalar() (value []byte, at int, err error) {
	read, err := r.decoder.ReadValue()
	if err != nil {
		return nil, 0, strictError(err)
	}
	if read.Kind() == '0' && len(read) > maxNumberSize {
		return nil, 0, errNumber
	}
	if r.values++; r.values > maxValues {
		return nil, 0, errTooMany
	}
	end := int(r.decoder.InputOffset())
	at = end - len(read)
	return r.data[at:end], at, nil
}

// unquote decodes a JSON string. It copies only if the string has escapes.
func unquote[Bytes ~[]byte | ~string](quoted Bytes) (Bytes, error) {
	inner := quoted[1 : len(quoted)-1]
	for i := range len(inner) {
		if inner[i] == '\\' {
			text, err := jsontext.AppendUnquote(nil, quoted)
			return Bytes(text), err
		}
	}
	return inner, nil
}

// strictError replaces an error of the decoder, whose text quotes the input.
func strictError(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errDuplicate
	}
	return errNotStrict
}

// nameFault returns what is wrong with a string that names something in logs,
// headers and stores, or "" if it is valid: at most 256 bytes of UTF-8 without
// control characters, line separators and characters that change the direction
// of text.
func nameFault(s string) string {
	if len(s) > maxNameSize {
		return "is longer than 256 bytes"
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return "has a control character"
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return "is not UTF-8"
		}
		if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return "has a control character"
		}
		i += size
	}
	return ""
}
