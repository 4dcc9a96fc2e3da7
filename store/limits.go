package store

// How much a store holds when its user does not say.
const (
	DefaultLimit       = 1_000_000 // revocations
	DefaultTicketLimit = 100_000   // of half a minute: 3,333 a second
	DefaultFamilyLimit = 1_000_000
)

// Limits are how much a store holds at most before it returns [ErrFull]. What
// is 0 or less is the default.
type Limits struct {
	Revocations int // [DefaultLimit]
	Tickets     int // [DefaultTicketLimit]
	Families    int // [DefaultFamilyLimit]
}

// OrDefault returns l with the default for each limit that it does not say.
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
