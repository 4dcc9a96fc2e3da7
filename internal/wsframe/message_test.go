package wsframe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// clientFrame returns a masked frame of a client.
func clientFrame(first byte, payload string) []byte {
	b := appendHead(nil, first, masked, len(payload))
	key := []byte{1, 2, 3, 4}
	b = append(b, key...)
	b = append(b, payload...)
	mask(b[len(b)-len(payload):], key)
	return b
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func TestReadText(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for name, c := range map[string]struct {
		in      []byte
		want    string
		fault   *Fault
		err     error
		answers []byte
	}{
		"short":           {in: clientFrame(fin|opText, "hello"), want: "hello"},
		"empty":           {in: clientFrame(fin|opText, ""), want: ""},
		"300 bytes":       {in: clientFrame(fin|opText, long[:300]), want: long[:300]},
		"as long as may":  {in: clientFrame(fin|opText, long[:1<<16]), want: long[:1<<16]},
		"fragments":       {in: join(clientFrame(opText, "he"), clientFrame(0, "l"), clientFrame(fin, "lo")), want: "hello"},
		"split character": {in: join(clientFrame(opText, "Zo\xc3"), clientFrame(fin, "\xab")), want: "Zoë"},
		"ping between":    {in: join(clientFrame(opText, "he"), clientFrame(fin|opPing, "p"), clientFrame(fin, "y")), want: "hey", answers: []byte("\x8a\x01p")},
		"pong before":     {in: join(clientFrame(fin|opPong, "p"), clientFrame(fin|opText, "x")), want: "x"},

		"P2 binary":              {in: clientFrame(fin|opBinary, "x"), fault: NotText},
		"P2 too long":            {in: clientFrame(fin|opText, long), fault: MessageTooBig},
		"P2 too long in sum":     {in: join(clientFrame(opText, long[:60_000]), clientFrame(fin, long[:6_000])), fault: MessageTooBig},
		"P5 length 2^63":         {in: []byte{fin | opText, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, fault: ProtocolError},
		"P5 length 2^63-1":       {in: []byte{fin | opText, masked | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, fault: FrameTooLong},
		"P6 unmasked":            {in: appendFrame(nil, fin|opText, []byte("x")), fault: ProtocolError},
		"P7 reserved bit":        {in: clientFrame(fin|rsv1|opText, "x"), fault: ProtocolError},
		"P7 reserved opcode":     {in: clientFrame(fin|3, "x"), fault: ProtocolError},
		"P9 long ping":           {in: clientFrame(fin|opPing, long[:126]), fault: ProtocolError},
		"P9 fragmented ping":     {in: clientFrame(opPing, "x"), fault: ProtocolError},
		"invalid UTF-8":          {in: clientFrame(fin|opText, "\xff"), fault: InvalidText},
		"continuation of none":   {in: clientFrame(fin, "x"), fault: ProtocolError},
		"close":                  {in: clientFrame(fin|opClose, "\x03\xe8"), err: io.EOF},
		"end in the head":        {in: []byte{fin | opText}, err: io.ErrUnexpectedEOF},
		"end in the payload":     {in: clientFrame(fin|opText, "hello")[:8], err: io.ErrUnexpectedEOF},
		"end between two frames": {in: clientFrame(opText, "he"), err: io.EOF},
	} {
		var answers bytes.Buffer
		got, fault, err := ReadText(bufio.NewReader(bytes.NewReader(c.in)), &answers, 1<<16)
		if fault != c.fault || !errors.Is(err, c.err) || string(got) != c.want || !bytes.Equal(answers.Bytes(), c.answers) {
			t.Errorf("%s: got %d bytes, %v, %v, answered %q; want %d bytes, %v, %v, %q", name, len(got), fault, err, answers.Bytes(), len(c.want), c.fault, c.err, c.answers)
		}
	}
}

// FuzzReadText checks that ReadText returns a message only if the first frame
// breaks no rule, and never more bytes than arrived.
func FuzzReadText(f *testing.F) {
	f.Add(clientFrame(fin|opText, "hello"))
	f.Add(join(clientFrame(opText, "he"), clientFrame(fin|opPing, ""), clientFrame(fin, "llo")))
	f.Add([]byte{fin | opText, masked | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 64
		message, fault, err := ReadText(bufio.NewReader(bytes.NewReader(in)), io.Discard, limit)
		if err != nil || fault != nil {
			if message != nil || err != nil && fault != nil {
				t.Errorf("got %q, %v and %v, want one of them", message, fault, err)
			}
			return
		}
		if len(message) > limit || len(message) > len(in) {
			t.Errorf("got a message of %d bytes from %d, want at most %d", len(message), len(in), limit)
		}
		rules := Checker{Client: true, MaxMessage: limit}
		if pass, fault := rules.Check(in, 0); fault != nil && pass == 0 {
			t.Errorf("got a message, want %v for the first frame", fault)
		}
	})
}

func TestAppendMaskedText(t *testing.T) {
	for _, n := range []int{0, 5, 125, 126, 70_000} {
		text := strings.Repeat("y", n)
		a, b := AppendMaskedText(nil, []byte(text)), AppendMaskedText(nil, []byte(text))
		got, fault, err := ReadText(bufio.NewReader(bytes.NewReader(a)), io.Discard, 1<<20)
		if err != nil || fault != nil || string(got) != text {
			t.Errorf("got %d bytes, %v, %v, want %d", len(got), fault, err, n)
		}
		if n > 0 && bytes.Equal(a, b) {
			t.Errorf("the same key was used twice")
		}
	}
}
