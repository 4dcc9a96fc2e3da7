package inspect

import (
	"fmt"
	"strings"
)

// Warnings returns the reasons why anybody could have made the token: it has
// no signature, or its algorithm does not sign. Accepting such tokens was the
// worst fault of JWT libraries.
func (t Token) Warnings() []string {
	if t.Header == nil {
		return nil
	}
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	algorithms := 0
	for _, m := range t.Header {
		if m.Name != "alg" {
			continue
		}
		algorithms++
		switch alg := strings.TrimSpace(m.text()); {
		case strings.EqualFold(alg, "none"):
			warn("its alg is %s: nothing signs it, and anybody can write such a token. A server that accepts it lets everybody in.", Printable(string(m.Value)))
		case alg == "":
			warn("its alg is %s, which names no algorithm: a verifier must not guess one.", Printable(string(m.Value)))
		}
	}
	if algorithms == 0 {
		warn("its header has no alg: a verifier must not guess one.")
	}
	switch segments := strings.Split(t.Raw, "."); {
	case len(segments) == 2:
		warn("it has no signature, and no place for one: anybody can write such a token.")
	case len(segments) == 3 && strings.Trim(segments[2], "= \t\r\n") == "":
		warn("its signature is empty: anybody can write such a token.")
	}
	return all
}
