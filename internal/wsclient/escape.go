package wsclient

import (
	"strings"

	"wsauth/internal/inspect"
)

// Escape escapes characters that control a terminal, except line breaks and
// tabs. See [inspect.Escape].
func Escape(text string) string {
	var b strings.Builder
	for text != "" {
		end := strings.IndexAny(text, "\n\t")
		if end < 0 {
			b.WriteString(inspect.Escape(text))
			break
		}
		b.WriteString(inspect.Escape(text[:end]))
		b.WriteByte(text[end])
		text = text[end+1:]
	}
	return b.String()
}
