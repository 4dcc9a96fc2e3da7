package token

import "log/slog"

// Token is a signed token. Printing or logging it does not show Raw, which is
// a credential.
type Token struct {
	Raw    string  // compact serialization
	Claims *Claims // what Raw says
}

// String names the token without giving it away.
func (t Token) String() string {
	if t.Claims == nil {
		return "token.Token()"
	}
	return "token.Token(" + t.Claims.String() + ")"
}

// GoString is String, for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
