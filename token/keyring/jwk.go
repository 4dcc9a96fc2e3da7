package keyring

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/token"
)

// maxDate is the last second of the year 9999, which is the last that RFC 3339
// can express.
const maxDate = 253402300799

// A jwk is a JSON Web Key with the two dates of an Entry.
type jwk struct {
	Rest      jsontext.Value `json:",embed"`
	NotBefore jsontext.Value `json:"nbf,omitzero"`
	Expires   jsontext.Value `json:"exp,omitzero"`
}

func parseJWK(id string, data []byte) (Entry, error) {
	key, err := token.ParseJWK(data, token.KeyOptions{})
	if err == nil && key.ID() == "" {
		key, err = token.ParseJWK(data, token.KeyOptions{ID: id})
	}
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Key: key}
	var j jwk
	if err := json.Unmarshal(data, &j); err != nil {
		return Entry{}, errNotJSON
	}
	if e.NotBefore, err = numericDate("nbf", j.NotBefore); err != nil {
		return Entry{}, err
	}
	e.Expires, err = numericDate("exp", j.Expires)
	return e, err
}

// errNotJSON does not wrap its cause, which might quote private material.
var errNotJSON = errors.New("not strict JSON")

// numericDate reads an optional date. Fractions of a second are refused,
// because the dates in PEM files have none.
func numericDate(name string, v jsontext.Value) (time.Time, error) {
	if v == nil {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil || seconds > maxDate {
		return time.Time{}, errors.New(name + " is not a number of whole seconds since 1970")
	}
	return time.Unix(int64(seconds), 0), nil
}

// format returns the content of e as a file NAME.jwk.
func format(e Entry) []byte {
	j := jwk{Rest: e.Key.JWK()}
	if !e.NotBefore.IsZero() {
		j.NotBefore = appendDate(e.NotBefore)
	}
	if !e.Expires.IsZero() {
		j.Expires = appendDate(e.Expires)
	}
	data, err := json.Marshal(j)
	if err != nil {
		panic("keyring: " + err.Error()) // a JWK of our own, and two integers
	}
	return append(data, '\n')
}

// expireJWK sets the expiry in a JWK that has been parsed before. It keeps all
// other members.
func expireJWK(data []byte, expires time.Time) ([]byte, error) {
	var j jwk
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, errNotJSON
	}
	j.Expires = appendDate(expires)
	data, err := json.Marshal(j)
	if err != nil {
		return nil, errNotJSON
	}
	return append(data, '\n'), nil
}

func appendDate(t time.Time) jsontext.Value { return strconv.AppendInt(nil, t.Unix(), 10) }
