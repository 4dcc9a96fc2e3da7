package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"wsauth/token"
)

// The extensions of key files, besides those of secrets.
const (
	endingJWK = ".jwk"
	endingPEM = ".pem"
)

// secrets maps the extensions of raw secrets to their algorithms.
var secrets = map[string]token.Algorithm{".hs256": token.HS256, ".hs384": token.HS384, ".hs512": token.HS512}

// isKey reports whether a file with this name must be a key.
func isKey(name string) bool {
	ending := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (ending == endingJWK || ending == endingPEM || isSecret(name))
}

func isSecret(name string) bool { return secrets[filepath.Ext(name)] != "" }

// Parse parses a key file. The extension of name determines its format. Errors
// contain nothing of data.
func Parse(name string, data []byte) (Entry, error) {
	ending := filepath.Ext(name)
	id := strings.TrimSuffix(name, ending)
	var (
		e   Entry
		err error
	)
	switch ending {
	case endingJWK:
		e, err = parseJWK(id, data)
	case endingPEM:
		e, err = parsePEM(id, data)
	default:
		e, err = parseSecret(id, secrets[ending], data)
	}
	if err != nil {
		return Entry{}, err
	}
	if !e.Expires.IsZero() && !e.NotBefore.Before(e.Expires) {
		return Entry{}, errors.New("exp is not later than nbf")
	}
	e.File = name
	return e, nil
}

// parseSecret uses data as it is, without removing white space. A text that
// ends with a line break is refused: the line break was probably added by an
// editor or by echo, and is not part of the secret that others use.
func parseSecret(id string, alg token.Algorithm, data []byte) (Entry, error) {
	if line, ends := bytes.CutSuffix(data, []byte("\n")); ends && printable(line) {
		return Entry{}, errors.New("the secret is a text that ends in a line break; write it without one, as printf does")
	}
	key, err := token.NewKey(alg, data, token.KeyOptions{ID: id})
	return Entry{Key: key}, err
}

func printable(text []byte) bool {
	return !bytes.ContainsFunc(text, func(r rune) bool { return r > '~' || r < ' ' && r != '\r' })
}

// withExpiry returns the content of the file of e with a new expiry, and the
// name of a file that can hold it.
func withExpiry(e Entry, data []byte, expires time.Time) (name string, _ []byte, err error) {
	name = e.File
	switch filepath.Ext(name) {
	case endingJWK:
		data, err = expireJWK(data, expires)
	case endingPEM:
		data = expirePEM(data, expires)
	default:
		e.Expires = expires
		name, data = strings.TrimSuffix(name, filepath.Ext(name))+endingJWK, format(e)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", e.File, err)
	}
	return name, data, nil
}
