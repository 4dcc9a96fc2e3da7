package store

// Default limits.
const (
	DefaultRevocationLimit = 1_000_000 // revocations
	DefaultTicketLimit     = 100_000   // with a lifetime of 30 s: 3,333 per second
	DefaultSessionLimit    = 1_000_000
)

// Limits are the maximum numbers of items in a store. When a limit is reached,
// the store returns [ErrFull]. Values of 0 or less mean the default.
type Limits struct {
	Revocations int // default [DefaultRevocationLimit]
	Tickets     int // default [DefaultTicketLimit]
	Sessions    int // default [DefaultSessionLimit]
}

// OrDefault returns l with defaults set.
func (l Limits) OrDefault() Limits {
	return Limits{
		Revocations: limitOr(l.Revocations, DefaultRevocationLimit),
		Tickets:     limitOr(l.Tickets, DefaultTicketLimit),
		Sessions:    limitOr(l.Sessions, DefaultSessionLimit),
	}
}

func limitOr(limit, standard int) int {
	if limit <= 0 {
		return standard
	}
	return limit
}
