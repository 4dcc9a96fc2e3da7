package token

import "log/slog"

// Token is a signed token. Printing or logging it does not reveal Raw, which
// is a credential.
type Token struct {
	Raw    string  // compact serialization
	Claims *Claims // the claims in Raw
}

// String describes the token without revealing it.
func (t Token) String() string {
	if t.Claims == nil {
		return "token.Token()"
	}
	return "token.Token(" + t.Claims.String() + ")"
}

// GoString returns String, for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue returns String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
