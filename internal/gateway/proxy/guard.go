package proxy

import (
	"cmp"
	"fmt"

	"wsauth"
	"wsauth/internal/gateway/fault"
)

// Defaults of [CheckLimits].
const (
	DefaultMaxSockets                = 100
	DefaultUnauthenticated           = 1000
	DefaultUnauthenticatedPerAddress = 100
)

// CheckLimits returns the limits of all sockets together, with their defaults
// set, and what is wrong with them. A negative PerSubject means no limit.
func CheckLimits(l wsauth.Limits) (wsauth.Limits, fault.List) {
	l.PerSubject = LimitOr(l.PerSubject, DefaultMaxSockets)
	l.WhenFull = cmp.Or(l.WhenFull, wsauth.EndOldest)
	l.Unauthenticated = cmp.Or(l.Unauthenticated, DefaultUnauthenticated)
	l.UnauthenticatedPerAddress = cmp.Or(l.UnauthenticatedPerAddress, DefaultUnauthenticatedPerAddress)
	var wrong fault.List
	if l.WhenFull != wsauth.EndOldest && l.WhenFull != wsauth.RefuseNew {
		wrong.Add("WhenFull", "must be EndOldest or RefuseNew")
	}
	if l.Unauthenticated < 1 {
		wrong.Add("Unauthenticated", "must be at least 1")
	}
	if l.UnauthenticatedPerAddress < 1 {
		wrong.Add("UnauthenticatedPerAddress", "must be at least 1")
	}
	return l, wrong
}

// NewGuard returns the guard from which those of the routes are derived. The
// limits in c must be those that [CheckLimits] has returned. NewGuard sets
// Extractors and Refusal.
func NewGuard(c wsauth.Config) (*wsauth.Guard, error) {
	c.Limits.PerSubject = Bound(c.Limits.PerSubject)
	c.Extractors = defaultExtractors()
	c.Refusal = wsauth.RefuseClose
	guard, err := wsauth.New(c)
	if err != nil {
		return nil, fmt.Errorf("gateway: guard: %w", err)
	}
	return guard, nil
}
