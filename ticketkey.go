package wsauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"sync"

	"wsauth/internal/httpx"
)

// minTicketKey is the minimum length of Config.TicketKey in bytes.
const minTicketKey = 32

// Lengths of the two parts of a ticket that follow its prefix, in characters of
// base32: a random text of 130 bits, and a MAC of 80 bits. The MAC only saves
// calls of the store, so it can be shorter than the random text.
const (
	ticketRandom = 26
	ticketMAC    = 16
)

// A ticketKey makes tickets, and recognizes them, so that a forged one can be
// refused without a call of the store.
type ticketKey []byte

// newTicket returns a new ticket.
func (k ticketKey) newTicket() string {
	random := rand.Text()
	return httpx.TicketPrefix + random + k.mac(random)
}

// made reports whether a ticket was made with this key. It compares the MAC in
// constant time.
func (k ticketKey) made(ticket string) bool {
	text, ok := strings.CutPrefix(ticket, httpx.TicketPrefix)
	return ok && len(text) == ticketRandom+ticketMAC && hmac.Equal([]byte(k.mac(text[:ticketRandom])), []byte(text[ticketRandom:]))
}

// mac returns the MAC of a random text.
func (k ticketKey) mac(random string) string {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("wsauth ticket " + random))
	return base32.StdEncoding.EncodeToString(h.Sum(nil))[:ticketMAC]
}

// processTicketKey returns the key of guards without a Config.TicketKey.
var processTicketKey = sync.OnceValue(func() ticketKey {
	key := make([]byte, minTicketKey)
	_, _ = rand.Read(key) // never fails
	return key
})

// ticketKey returns TicketKey, or its default.
func (c Config) ticketKey() (ticketKey, error) {
	switch n := len(c.TicketKey); {
	case n == 0:
		return processTicketKey(), nil
	case n < minTicketKey:
		return nil, fmt.Errorf("wsauth: Config.TicketKey: %d bytes; at least %d are required", n, minTicketKey)
	}
	return c.TicketKey, nil
}
