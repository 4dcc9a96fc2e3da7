package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verifiers verifies the tokens of several issuers, each with its own rules and
// keys. The iss of a token, compared exactly, chooses the [Verifier] before any
// key is used, so a token of one issuer is never checked with keys of another,
// whatever its kid is. It is safe for concurrent use.
type Verifiers struct {
	byIssuer map[string]*Verifier
	spaces   []string // the non-empty namespaces
	maxBytes int
	cache    *cache
}

// MaxLifetime returns the longest of the maximum lifetimes of the verifiers.
func (m *Verifiers) MaxLifetime() time.Duration {
	longest := time.Duration(0)
	for _, v := range m.byIssuer {
		longest = max(longest, v.maxLifetime)
	}
	return longest
}

// NewVerifiers combines verifiers of different issuers. To keep their names
// apart, the verifiers must have different Namespaces; one of them may have
// none. One verifier may have no Issuer: it is for tokens without iss.
func NewVerifiers(verifiers ...*Verifier) (*Verifiers, error) {
	if len(verifiers) == 0 {
		return nil, errors.New("token: verifiers: none")
	}
	m := &Verifiers{byIssuer: make(map[string]*Verifier, len(verifiers))}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("token: verifiers: "+format, args...))
	}
	spaces := map[string]bool{}
	remembered := 0
	for i, v := range verifiers {
		if v == nil {
			fault("the one at %d is nil", i)
			continue
		}
		if m.byIssuer[v.issuer] != nil {
			fault("two with the Issuer %q", v.issuer)
		}
		if spaces[v.namespace] {
			fault("two with the Namespace %q: users of both could have the same name", v.namespace)
		}
		m.byIssuer[v.issuer] = v
		if spaces[v.namespace] = true; v.namespace != "" {
			m.spaces = append(m.spaces, v.namespace)
		}
		m.maxBytes = max(m.maxBytes, v.maxBytes)
		remembered = max(remembered, v.cache.capacity())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	m.cache = newCache(remembered)
	return m, nil
}

// Verify verifies raw by the rules of its issuer; see [Verifier.Verify]. For
// an unknown issuer, the error is an [ErrIssuer].
func (m *Verifiers) Verify(ctx context.Context, raw string) (*Claims, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c, err, found := m.cache.verify(ctx, raw); found {
		return c, err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, m.maxBytes)
	if err != nil {
		return nil, err
	}
	issuer, err := s.readIssuer(j.payload)
	if err != nil {
		return nil, err
	}
	v := m.byIssuer[issuer]
	switch {
	case v == nil:
		return nil, refuse(ErrIssuer, "iss is not one of the expected ones")
	case len(raw) > v.maxBytes:
		return nil, refuse(ErrMalformed, "longer than MaxBytes (max_token)")
	}
	if err := v.verify(ctx, s, j); err != nil {
		return nil, err
	}
	if v.namespace == "" && slices.ContainsFunc(m.spaces, func(space string) bool { return inNamespace(s.found.claims, space) }) {
		return nil, refuse(ErrClaims, "sub, sid or jti is in the namespace of another issuer")
	}
	return m.cache.keep(raw, &s.found), nil
}

// readIssuer returns the iss of an unverified payload, or "" if there is none.
func (s *scratch) readIssuer(payload []byte) (issuer string, err error) {
	c := Claims{payload: string(payload)}
	err = s.object.read(payload, func(m member) (err error) {
		if string(m.name) == "iss" {
			issuer, err = c.stringClaim(m)
		}
		return err
	})
	if err != nil {
		return "", payloadError(err)
	}
	return issuer, nil
}
