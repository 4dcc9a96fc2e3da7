package store

// Memory is the [Store] of one process, which ends with it: for tests, and
// where everyone may have to log in again after a restart, and revoked tokens
// may live on. Make it with [NewMemory].
type Memory struct {
	memoryRevocations
	memoryTickets
	memoryFamilies
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store of at most limit revocations that are not
// [Revocation.Gone]; 0 or less means [DefaultLimit]. The other limits are the
// default ones.
func NewMemory(limit int) *Memory { return NewMemoryWithin(Limits{Revocations: limit}) }

// NewMemoryWithin makes an empty store.
func NewMemoryWithin(limits Limits) *Memory {
	limits = limits.OrDefault()
	return &Memory{
		memoryRevocations: newMemoryRevocations(limits.Revocations),
		memoryTickets:     newMemoryTickets(limits.Tickets),
		memoryFamilies:    newMemoryFamilies(limits.Families),
	}
}
