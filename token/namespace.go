package token

import (
	"errors"
	"strings"
)

const (
	namespaceEnd = "|"
	maxNamespace = 32
)

// namespaceFault returns an error if namespace is not valid.
func namespaceFault(namespace string) error {
	if len(namespace) > maxNamespace {
		return errors.New("longer than 32 bytes")
	}
	for _, r := range namespace {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return errors.New("has characters other than a to z, 0 to 9 and -")
		}
	}
	return nil
}

// Qualify returns a sub, sid or jti of the issuer with the namespace in front,
// as in the claims of v.
func (v *Verifier) Qualify(name string) string {
	if v.namespace == "" || name == "" {
		return name
	}
	return v.namespace + namespaceEnd + name
}

// qualify puts the namespace in front of the names of users, sessions and
// tokens.
func (v *Verifier) qualify(c *Claims) error {
	if v.namespace == "" {
		return nil
	}
	for _, name := range []*string{&c.Subject, &c.SessionID, &c.ID, &c.IssuerSubject} {
		if *name = v.Qualify(*name); len(*name) > maxNameSize {
			return refuse(ErrClaims, "sub, sid or jti is longer than 256 bytes with its namespace")
		}
	}
	return nil
}

// inNamespace reports whether a name of c begins with the namespace.
func inNamespace(c *Claims, namespace string) bool {
	prefix := namespace + namespaceEnd
	return strings.HasPrefix(c.Subject, prefix) || strings.HasPrefix(c.IssuerSubject, prefix) || strings.HasPrefix(c.SessionID, prefix) || strings.HasPrefix(c.ID, prefix)
}
