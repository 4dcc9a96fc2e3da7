package wsclient

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

// isInterpreted reports whether a terminal may interpret r instead of showing
// it.
func isInterpreted(r rune) bool {
	return !unicode.IsPrint(r) && r != '\n' && r != '\t'
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"plain ü 😀":                    "plain ü 😀",
		"a\tb\nc\n":                    "a\tb\nc\n",
		"\x1b]0;title\x07":             `\u001b]0;title\u0007`,
		"over\rwritten":                `over\u000dwritten`,
		"\x9b31m and \u009b31m":        "\ufffd31m and \\u009b31m",
		"turned \u202eround":           `turned \u202eround`,
		"a line\u2028or two\u2029":     `a line\u2028or two\u2029`,
		"\U000e0041 tag, \U0010ffff":   `\udb40\udc41 tag, \udbff\udfff`,
		"\n\n\x00\n":                   "\n\n\\u0000\n",
		strings.Repeat("\x7f\t", 1000): strings.Repeat(`\u007f`+"\t", 1000),
	} {
		if got := escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzPrinted checks that output for a terminal has no control sequences,
// whether it comes from a message, a reason or a member of a problem document.
func FuzzPrinted(f *testing.F) {
	for _, seed := range []string{"hello", "\x1b[31mred\x1b[0m", "a\r\nb\tc", "\u202e\u2066\x85", "\xff\xfe\x9b", "\x1b]52;c;AAAA\x07", "{\"a\":\"\x7f\"}"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, json bool) {
		var out, err bytes.Buffer
		r := &Reporter{Out: &out, Err: &err, JSON: json, Escape: true}
		end := &End{By: ByServer, Code: 3000, Reason: text}
		refusal := &Refusal{Step: Handshake, Status: 403}
		refusal.read("text/plain", []byte(text))
		for _, failure := range []error{
			r.message(&message{data: []byte(text)}), r.message(&message{binary: true, data: []byte(text)}),
			r.opened(1, text), r.loggedIn(text, &Account{}, true), r.ended(end), r.reportRefusal(refusal), r.Warn(refusal.Error()),
		} {
			if failure != nil {
				t.Fatal(failure)
			}
		}
		for _, printed := range []string{out.String(), err.String(), end.Error(), refusal.Error()} {
			if i := strings.IndexFunc(printed, isInterpreted); i >= 0 {
				t.Errorf("%q holds %q", printed, printed[i:min(i+4, len(printed))])
			}
		}
		if json && strings.Count(out.String(), "\n") != 7 {
			t.Errorf("not seven lines: %q", out.String())
		}
	})
}

func TestBinaryLine(t *testing.T) {
	if got := binaryLine([]byte{0, 0x1b, 255}); got != "(binary, 3 bytes: 001bff)" {
		t.Error(got)
	}
	if got := binaryLine(make([]byte, 1000)); got != "(binary, 1000 bytes: "+strings.Repeat("00", 32)+"…)" {
		t.Error(got)
	}
}
