package adminapi

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"wsauth/internal/keyfile"
)

// MinToken is the minimum length of a token: that of 32 random bytes in base64
// (hexadecimal is longer).
const MinToken = 43

const (
	maxToken     = 1024
	minDifferent = 8 // different characters; random text of this length has more
)

// checkToken returns an error if token is not safe for operators. It must have
// at least [MinToken] of the characters that RFC 6750 section 2.1 allows, and
// should be as random as 32 bytes of "openssl rand -base64 32". The error
// never contains the token.
func checkToken(token string) error {
	const advice = `make one: (umask 077; openssl rand -base64 32 > FILE)`
	if len(token) < MinToken {
		return fmt.Errorf("a token of %d characters is too short: at least %d are needed; %s", len(token), MinToken, advice)
	}
	if len(token) > maxToken {
		return fmt.Errorf("a token is at most %d characters long; %s", maxToken, advice)
	}
	different := map[rune]bool{}
	for _, c := range token {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("-._~+/=", c):
			different[c] = true
		default:
			return errors.New("a token is letters, digits and -._~+/= in one line; " + advice)
		}
	}
	if len(different) < minDifferent {
		return errors.New("the token can be guessed; " + advice)
	}
	return nil
}

// ReadToken reads a token for operators from a file, and trims the spaces and
// line breaks around it. It returns an error if others can read the file,
// or if checkToken refuses the token.
func ReadToken(path string) (string, error) {
	folder, err := keyfile.OpenFolder(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer folder.Close()
	text, err := folder.Read(filepath.Base(path))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return token, nil
}
