package logtext

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestShort(t *testing.T) {
	long := strings.Repeat("x", 64)
	for in, want := range map[string]string{
		"":                             "",
		"ada":                          "ada",
		"Zoë 日本":                       "Zoë 日本",
		long:                           long,
		long + "y":                     long + "…",
		long[:63] + "é and more":       long[:63] + "…",
		long[:62] + "日 and more":       long[:62] + "…",
		"a\nlevel=INFO msg=\"x\"\r":    "a\uFFFDlevel=INFO msg=\"x\"\uFFFD",
		"\x1b[31m\u202egnp.exe\u00a0|": "\uFFFD[31m\uFFFDgnp.exe\uFFFD|",
		"\xff\xfe":                     "\uFFFD\uFFFD",
	} {
		if got := Short(in); got != want {
			t.Errorf("Short(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzShort(f *testing.F) {
	for _, seed := range []string{"", "ada", "\x80\x80\x80\x80\x80", strings.Repeat("日", 40), strings.Repeat("\xbf", 100), "a\u2028b\u202e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Short(s)
		if n := utf8.RuneCountInString(got); n > maxShort+1 || !utf8.ValidString(got) {
			t.Errorf("Short(%q) = %q, %d characters", s, got, n)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) && r != unicode.ReplacementChar {
				t.Errorf("Short(%q) = %q has %U", s, got, r)
			}
		}
		if utf8.ValidString(s) && len(s) <= maxShort && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && got != s {
			t.Errorf("Short(%q) = %q", s, got)
		}
	})
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "@": "@", "a\n": "a\uFFFD", "": "",
	} {
		if got := Host(in); got != want {
			t.Errorf("Host(%q) = %q, want %q", in, got, want)
		}
	}
}
