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

// The endings of the names of files that are keys.
const (
	endingJWK = ".jwk"
	endingPEM = ".pem"
)

// secrets are those of raw secrets.
var secrets = map[string]token.Algorithm{".hs256": token.HS256, ".hs384": token.HS384, ".hs512": token.HS512}

// isKey reports whether a file of this name must be a key.
func isKey(name string) bool {
	ending := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (ending == endingJWK || ending == endingPEM || isSecret(name))
}

func isSecret(name string) bool { return secrets[filepath.Ext(name)] != "" }

// Parse reads one key as a file of a folder has it: name says what it is, by its
// ending. No error has a part of its content.
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

// parseSecret takes data as it is. A text that ends with its line is refused: an editor or echo has put that there, and the others who
// have this secret have not.
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

// withExpiry is the content of the file of e, but with that expiry, and the name of the file that has room for it.
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
