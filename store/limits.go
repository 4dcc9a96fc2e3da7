package store

// Default limits.
const (
	DefaultLimit       = 1_000_000 // revocations
	DefaultTicketLimit = 100_000   // with a lifetime of 30 s: 3,333 per second
	DefaultFamilyLimit = 1_000_000
)

// Limits are the maximum numbers of items in a store. When a limit is reached,
// the store returns [ErrFull]. Values of 0 or less mean the default.
type Limits struct {
	Revocations int // default [DefaultLimit]
	Tickets     int // default [DefaultTicketLimit]
	Families    int // default [DefaultFamilyLimit]
}

// OrDefault returns l with defaults set.
func (l Limits) OrDefault() Limits {
	return Limits{
		Revocations: limitOr(l.Revocations, DefaultLimit),
		Tickets:     limitOr(l.Tickets, DefaultTicketLimit),
		Families:    limitOr(l.Families, DefaultFamilyLimit),
	}
}

func limitOr(limit, standard int) int {
	if limit <= 0 {
		return standard
	}
	return limit
}
