package inspect

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// longestValue is the maximum number of bytes of a value that are shown.
const longestValue = 400

// dates maps claims with a NumericDate (RFC 7519 section 2) to their
// descriptions.
var dates = map[string]string{"exp": "expires", "nbf": "not valid before", "iat": "issued", "auth_time": "the user logged in", "updated_at": "the profile was changed"}

// Write prints the token, with dates relative to now. The output cannot be
// used as a token, because it omits the signature.
func (t Token) Write(w io.Writer, now time.Time) error {
	var b strings.Builder
	kind := "the kind of token is unknown"
	if known := t.Kind(); known != "" {
		kind = "it looks like " + known
	}
	fmt.Fprintf(&b, "%d bytes; %s.\n", len(t.Raw), kind)
	section(&b, "Header", t.Header, now)
	section(&b, "Claims", t.Claims, now)
	for _, w := range t.Warnings() {
		fmt.Fprintf(&b, "Warning: %s\n", w)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, title string, all []Member, now time.Time) {
	if all == nil {
		return
	}
	fmt.Fprintf(b, "%s\n", title)
	width := 0
	for _, m := range all {
		width = max(width, len(Printable(m.Name)))
	}
	for _, m := range all {
		fmt.Fprintf(b, "  %-*s  %s", min(width, 24), Printable(m.Name), Printable(string(m.Value)))
		if words, isDate := dates[m.Name]; isDate && title == "Claims" {
			fmt.Fprintf(b, "  %s", date(words, m, now))
		}
		b.WriteByte('\n')
	}
}

// date describes a NumericDate.
func date(words string, m Member, now time.Time) string {
	seconds, err := strconv.ParseFloat(string(m.Value), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > 253402300799 {
		return "is not a date"
	}
	at := time.Unix(int64(seconds), 0)
	return fmt.Sprintf("%s %s, %s", words, at.UTC().Format(time.RFC3339), describeTime(at, now))
}

// describeTime describes the time at relative to now: "in 5m0s" or "5m0s ago".
func describeTime(at, now time.Time) string {
	switch d := at.Sub(now).Round(time.Second); {
	case d == 0:
		return "now"
	case d > 0:
		return "in " + formatDuration(d)
	default:
		return formatDuration(-d) + " ago"
	}
}

// formatDuration formats a duration, in days if it is two days or more.
func formatDuration(d time.Duration) string {
	if days := d / (24 * time.Hour); days >= 2 {
		return fmt.Sprintf("%d days", days)
	}
	return d.String()
}

// Printable is like Escape, but truncates long texts.
func Printable(text string) string {
	if len(text) <= longestValue {
		return Escape(text)
	}
	end := longestValue
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", Escape(text[:end]), len(text))
}

// Escape escapes characters that control a terminal or change the direction of
// text. It uses the escapes of JSON, so that JSON keeps its meaning. Bytes that
// are not UTF-8 become U+FFFD.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		high, low := utf16.EncodeRune(r)
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
