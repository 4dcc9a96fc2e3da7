package store

// Memory is a [Store] within one process, and is lost when that ends. Use it
// in tests, or where it is acceptable that after a restart all users must log
// in again and revoked tokens are valid again. Create it with [NewMemory].
type Memory struct {
	memoryRevocations
	memoryTickets
	memorySessions
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store for at most limit revocations that are not
// [Revocation.Gone]; 0 or less means [DefaultRevocationLimit]. The other
// limits are the defaults.
func NewMemory(limit int) *Memory { return NewMemoryWithin(Limits{Revocations: limit}) }

// NewMemoryWithin returns an empty store with the given limits.
func NewMemoryWithin(limits Limits) *Memory {
	limits = limits.OrDefault()
	return &Memory{
		memoryRevocations: newMemoryRevocations(limits.Revocations),
		memoryTickets:     newMemoryTickets(limits.Tickets),
		memorySessions:    newMemorySessions(limits.Sessions),
	}
}
