package wsauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/httpx"
	"wsauth/internal/urlpath"
	"wsauth/store"
	"wsauth/token"
)

// TicketLife is how long a ticket waits for its socket.
const TicketLife = 30 * time.Second

// TicketPrefix begins every ticket, so that nobody takes a parameter of the
// application's for one, and scanners for secrets find those that leak.
const TicketPrefix = "wst_"

// ticketRandom is the length of the random text after the prefix: base32, in
// capitals and digits, of 130 bits.
const ticketRandom = 26

func newTicket() string { return TicketPrefix + rand.Text() }

// isTicket reports whether the value of a parameter is meant for a ticket. It
// may still be one that was cut, or never issued, and a token never is: where
// a ticket is expected it is refused, as a token in the query is.
func isTicket(value string) bool {
	return strings.HasPrefix(value, TicketPrefix) || ContainsTicket(value) || httpx.IsJWS(value)
}

// ContainsTicket reports whether a ticket stands anywhere in s, such as in a
// URL. A prefix without the rest is none.
func ContainsTicket(s string) bool {
	for {
		_, after, found := strings.Cut(s, TicketPrefix)
		if !found {
			return false
		}
		n := strings.IndexFunc(after, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '2' || c > '7') })
		if n < 0 {
			n = len(after)
		}
		if n >= ticketRandom {
			return true
		}
		s = after
	}
}

// A Ticket is the location of a one-use ticket in a parameter of the URL's
// query, such as "/ws?ticket=…": the way for browsers, whose pages ask for one
// over HTTP with their usual credential, and can show no header to a socket.
// What the logs on the way keep of it is worth nothing once the socket is open,
// and nothing after [TicketLife].
//
// A parameter of that name that does not begin with [TicketPrefix], and is no
// JWT, is the application's: it is no credential, and the handler sees it.
//
// It needs Config.Tickets; [Guard.IssueTicket] makes the tickets.
type Ticket struct {
	// Name of the parameter. Default: "ticket".
	Name string
}

func (t Ticket) name() string {
	if t.Name == "" {
		return "ticket"
	}
	return t.Name
}

func (t Ticket) validate() error {
	if url.QueryEscape(t.Name) != t.Name {
		return errors.New("Ticket: Name has characters that a URL escapes")
	}
	return nil
}

// value returns the ticket in a query, which is given once and plainly, or ""
// where there is none: what no reader could take for a ticket may be given in
// any way.
func (t Ticket) value(query string) (string, error) {
	raw, err := queryValue(query, t.name())
	if err != nil && !slices.ContainsFunc(strings.Split(query, "&"), t.isDoubtful) {
		return "", nil
	}
	if err != nil || !isTicket(raw) {
		return "", err
	}
	return raw, nil
}

// isDoubtful reports whether a part of a query names the parameter, and a
// lenient reader could find a ticket or a token in it.
func (t Ticket) isDoubtful(part string) bool {
	if !namesParameter(part, t.name()) {
		return false
	}
	plain, err := url.QueryUnescape(part)
	return err != nil || strings.Contains(plain, TicketPrefix) || strings.Contains(plain, "eyJ")
}

// Extract returns the ticket of the parameter.
func (t Ticket) Extract(r *http.Request, _ Requirement) (Credential, error) {
	raw, err := t.value(r.URL.RawQuery)
	return Credential{Token: raw, Ticket: raw != ""}, err
}

// foreign returns the refusal for a client that has sent nothing but a
// parameter of the name that is no ticket; nil if there is none.
func (t Ticket) foreign(r *http.Request) *Error {
	isGiven := func(part string) bool {
		_, value, _ := strings.Cut(part, "=")
		return value != "" && namesParameter(part, t.name())
	}
	raw, err := t.value(r.URL.RawQuery)
	if err == nil && raw == "" && slices.ContainsFunc(strings.Split(r.URL.RawQuery, "&"), isGiven) {
		return refuseTicket(fmt.Errorf("it does not begin with %s: %w", TicketPrefix, errNoCredential))
	}
	return nil
}

// Missing is the text for a request without a ticket.
func (Ticket) Missing(Requirement) string { return "Missing ticket" }

// Strip removes the parameter, unless it is plainly the application's.
func (t Ticket) Strip(r *http.Request) {
	if raw, err := t.value(r.URL.RawQuery); err != nil || raw != "" {
		stripQuery(r, t.name())
	}
}

func (t Ticket) readsQuery(name, value string) bool { return name == t.name() && isTicket(value) }

// TicketFor says what a ticket opens.
type TicketFor struct {
	// Path is the path of the socket's URL, beginning with a slash, in any
	// spelling: "/rooms/日本" and "/rooms/%E6%97%A5%E6%9C%AC" are the same. A
	// percent sign begins an escape, as in [url.URL.EscapedPath], and an
	// escaped slash or other reserved character is not the plain one. At most
	// 2048 bytes, of which an escape is one. Required.
	Path string

	// Origin is the Origin of the page that may use the ticket: that of the
	// request for it. Empty for a client that sends none, and then the socket's
	// handshake must have none either, unless AllowedOrigins.
	Origin string

	// AllowedOrigins lets a ticket without an Origin open a socket for each
	// origin that the guard allows, as well as without one. Some clients that
	// are no browsers send an Origin with a handshake and none with the request
	// for a ticket, such as those of React Native. Set it only if that request
	// showed a credential that no browser sends by itself: not for cookies,
	// since browsers leave the Origin out of some requests.
	AllowedOrigins bool
}

// maxTicketOrigin is the maximum length of an origin in bytes.
const maxTicketOrigin = 2048

// A ticketRecord is what the store keeps of a ticket.
type ticketRecord struct {
	Path           string         `json:"path"`
	Origin         string         `json:"origin,omitzero"`
	AllowedOrigins bool           `json:"allowed_origins,omitzero"`
	Claims         jsontext.Value `json:"claims"` // of token.Claims
}

// IssueTicket makes a ticket: [TicketPrefix] and a random text of 130 bits,
// which opens one socket with claims, which are those that the guard has found
// in the request for it. The socket lives as long as their token, and ends
// with it when it is revoked; the ticket does, too. It expires after
// [TicketLife], or with the token. The error is an [*Error]: InvalidRequest
// for a path or an origin that cannot be one, and for claims that are longer
// than a store keeps ([store.MaxTicketValue]); StoreUnavailable where the
// store does not answer or is full.
func (g *Guard) IssueTicket(ctx context.Context, claims *token.Claims, f TicketFor) (string, error) {
	switch {
	case g.config.Tickets == nil:
		return "", errors.New("wsauth: IssueTicket: the guard has no Config.Tickets")
	case claims == nil:
		return "", errors.New("wsauth: IssueTicket: no claims")
	case len(f.Origin) > maxTicketOrigin:
		return "", refuseWith(InvalidRequest, "The origin is too long")
	}
	path, err := urlpath.Canonical(f.Path)
	if err != nil {
		return "", refuseWith(InvalidRequest, "A ticket is for a path that begins with a slash and has at most 2048 bytes")
	}
	encoded, err := claims.MarshalBinary()
	if err != nil {
		return "", fmt.Errorf("wsauth: IssueTicket: %w", err)
	}
	record, err := json.Marshal(ticketRecord{
		Path: path, Origin: httpx.LowerASCII(f.Origin), AllowedOrigins: f.AllowedOrigins && f.Origin == "", Claims: encoded,
	})
	if err != nil {
		return "", fmt.Errorf("wsauth: IssueTicket: %w", err)
	}
	expires := time.Now().Add(TicketLife)
	if end := claims.ValidUntil(); end.Before(expires) {
		expires = end
	}
	ticket := newTicket()
	err = g.config.Tickets.PutTicket(ctx, ticketKey(ticket), record, expires)
	switch {
	case errors.Is(err, store.ErrInvalid):
		return "", &Error{Reason: InvalidRequest, Message: "The token says more than a ticket can stand for", Err: err}
	case err != nil:
		return "", refuse(StoreUnavailable, err)
	}
	return ticket, nil
}

// ticketKey is what the store knows a ticket by.
func ticketKey(ticket string) store.TicketKey { return sha256.Sum256([]byte(ticket)) }

// redeem takes the ticket of an upgrade from the store, and returns the claims
// that it stands for. A ticket that is used for something else than what it was
// made for is used up all the same.
func (g *Guard) redeem(r *http.Request, ticket string) (*token.Claims, error) {
	if g.config.Tickets == nil {
		return nil, refuse(InternalError, errors.New("a location takes tickets, and there is no Config.Tickets"))
	}
	value, err := g.config.Tickets.TakeTicket(r.Context(), ticketKey(ticket))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuseTicket(errors.New("never issued, used or expired"))
	}
	if err != nil {
		return nil, refuse(StoreUnavailable, err)
	}
	var record ticketRecord
	claims := new(token.Claims)
	if err := json.Unmarshal(value, &record); err != nil {
		return nil, refuse(InternalError, fmt.Errorf("the store's record of a ticket: %w", err))
	}
	if err := claims.UnmarshalBinary(record.Claims); err != nil {
		return nil, refuse(InternalError, fmt.Errorf("the store's record of a ticket: %w", err))
	}
	switch {
	case !isTicketPath(r.URL, record.Path):
		return nil, refuseTicket(errors.New("issued for another path"))
	case !record.isFor(r.Header["Origin"]):
		return nil, refuseTicket(errors.New("issued for another origin"))
	case !time.Now().Before(claims.ValidUntil()):
		return nil, refuse(TokenExpired, nil)
	}
	return claims, nil
}

// isFor reports whether a ticket is for a handshake with these lines of the
// field Origin, which checkOrigin has allowed.
func (t *ticketRecord) isFor(lines []string) bool {
	switch len(lines) {
	case 0:
		return t.Origin == ""
	case 1:
		return t.AllowedOrigins || httpx.LowerASCII(lines[0]) == t.Origin
	}
	return false
}

// isTicketPath reports whether a socket's path is that of its ticket, which is
// canonical. A path with dots is not, since no browser sends one.
func isTicketPath(u *url.URL, path string) bool {
	sent := urlpath.Sent(u)
	canonical, err := urlpath.Canonical(sent)
	return err == nil && canonical == path && !urlpath.HasDots(sent)
}

// refuseTicket tells every client the same, and the log what it was.
func refuseTicket(why error) *Error {
	return &Error{Reason: TokenInvalid, Message: "The ticket is not valid", Err: why}
}
