package wsclient

import (
	"strings"

	"wsauth/internal/inspect"
)

// Escape is text without anything that a terminal obeys, but for the ends of its lines and its tabs. See [inspect.Escape].
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
