package keyring

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"wsauth/token"
)

// begin is the start of the first line of PEM, which ends the explanatory text
// (RFC 7468 section 5.2).
var begin = []byte("-----BEGIN ")

// parsePEM parses a key, and the lines kid, alg, nbf and exp before it. Other
// lines are comments.
func parsePEM(id string, data []byte) (Entry, error) {
	fields, err := explanation(data)
	if err != nil {
		return Entry{}, err
	}
	if kid, ok := fields["kid"]; ok {
		id = kid
	}
	alg := token.Algorithm(fields["alg"])
	if len(alg) > len(token.HS256) {
		return Entry{}, errors.New("the line alg names no algorithm, such as ES256")
	}
	e := Entry{}
	if e.NotBefore, err = date("nbf", fields); err != nil {
		return Entry{}, err
	}
	if e.Expires, err = date("exp", fields); err != nil {
		return Entry{}, err
	}
	e.Key, err = token.ParsePEM(alg, data, token.KeyOptions{ID: id})
	return e, err
}

// explanation returns the values of the known lines by their names.
func explanation(data []byte) (map[string]string, error) {
	fields := map[string]string{}
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, begin) {
			break
		}
		name, value := readLine(line)
		if name == "" {
			continue
		}
		if _, twice := fields[name]; twice {
			return nil, errors.New("there are two lines " + name)
		}
		if value == "" {
			return nil, errors.New("the line " + name + " is empty")
		}
		fields[name] = value
	}
	return fields, nil
}

// readLine returns the name, in lower case, and the value of a known line.
func readLine(line []byte) (name, value string) {
	before, after, _ := strings.Cut(string(line), ":")
	switch name = strings.ToLower(strings.TrimSpace(before)); name {
	case "kid", "alg", "nbf", "exp":
		return name, strings.TrimSpace(after)
	}
	return "", ""
}

// date reads an optional date.
func date(name string, fields map[string]string) (time.Time, error) {
	text, ok := fields[name]
	if !ok {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Nanosecond() != 0 || t.Unix() < 0 || t.Unix() > maxDate {
		return time.Time{}, errors.New("the line " + name + " is not a date such as 2030-01-31T00:00:00Z")
	}
	return time.Unix(t.Unix(), 0), nil
}

// expirePEM sets the line exp. It keeps all other lines.
func expirePEM(data []byte, expires time.Time) []byte {
	var head []byte
	rest := data
	for len(rest) > 0 && !bytes.HasPrefix(rest, begin) {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		if name, _ := readLine(rest[:end]); name != "exp" {
			head = append(head, rest[:end]...)
		}
		rest = rest[end:]
	}
	head = append(head, "exp: "+expires.UTC().Format(time.RFC3339)+"\n"...)
	return append(head, rest...)
}
