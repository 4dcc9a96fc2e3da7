package wsauth

import (
	"context"
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

// TicketLife is how long a ticket can be used.
const TicketLife = 30 * time.Second

// isTicket reports whether the value of a parameter is meant as a ticket, even
// if it is truncated or was never issued. This includes JWTs: where a ticket
// is expected they are refused, like other tokens in the query.
func isTicket(value string) bool {
	return strings.HasPrefix(value, httpx.TicketPrefix) || httpx.ContainsTicket(value) || httpx.IsJWS(value)
}

// A Ticket extracts a one-use ticket from a query parameter of the URL, such
// as "/ws?ticket=…". It is meant for browsers: a page requests the ticket over
// HTTP with its usual credential, because it cannot set headers for a socket.
// Tickets in logs are worthless once the socket is open, and after
// [TicketLife].
//
// If the value of the parameter does not begin with "wst_" and is not
// a JWT, it belongs to the application: it is not a credential, and the
// handler sees it.
//
// A Ticket requires Config.Tickets; [Guard.IssueTicket] issues the tickets.
type Ticket struct {
	// Name is the name of the parameter. Default: "ticket".
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

// value returns the ticket in a query, or "" if there is none. A ticket must be
// given once and without escapes; parameters that no parser could read as a
// ticket may be given in any form.
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
// lenient parser could find a ticket or a token in it.
func (t Ticket) isDoubtful(part string) bool {
	if !namesParameter(part, t.name()) {
		return false
	}
	plain, err := url.QueryUnescape(part)
	return err != nil || strings.Contains(plain, httpx.TicketPrefix) || strings.Contains(plain, "eyJ")
}

// Extract returns the ticket in the parameter.
func (t Ticket) Extract(r *http.Request, _ Requirement) (Credential, error) {
	raw, err := t.value(r.URL.RawQuery)
	return Credential{Token: raw, Ticket: raw != ""}, err
}

// foreign returns the refusal of a request whose only credential is a
// parameter of the right name that is not a ticket, or nil for other requests.
func (t Ticket) foreign(r *http.Request) *Error {
	isGiven := func(part string) bool {
		_, value, _ := strings.Cut(part, "=")
		return value != "" && namesParameter(part, t.name())
	}
	raw, err := t.value(r.URL.RawQuery)
	if err == nil && raw == "" && slices.ContainsFunc(strings.Split(r.URL.RawQuery, "&"), isGiven) {
		return refuseTicket(fmt.Errorf("it does not begin with %s: %w", httpx.TicketPrefix, errNoCredential))
	}
	return nil
}

// missing returns the text for a request without a ticket.
func (Ticket) missing(Requirement) string { return "Missing ticket" }

// Strip removes the parameter, unless it clearly belongs to the application.
func (t Ticket) Strip(r *http.Request) {
	if raw, err := t.value(r.URL.RawQuery); err != nil || raw != "" {
		stripQuery(r, t.name())
	}
}

func (t Ticket) readsQuery(name, value string) bool { return name == t.name() && isTicket(value) }

// TicketFor describes the socket that a ticket opens.
type TicketFor struct {
	// Path is the path of the socket's URL. It begins with a slash and may be
	// escaped or not: "/rooms/日本" and "/rooms/%E6%97%A5%E6%9C%AC" are the
	// same. A percent sign begins an escape, as in [url.URL.EscapedPath]. An
	// escaped slash or other reserved character differs from the unescaped one.
	// At most 2048 bytes; an escape is one byte. Required.
	Path string

	// Origin is the Origin of the page that may use the ticket: that of the
	// request for the ticket. If it is empty, because the client sends none,
	// the handshake must have none either, unless AllowedOrigins is set.
	Origin string

	// AllowedOrigins lets a ticket without an Origin open a socket from any
	// origin that the guard allows, as well as without one. Some clients that
	// are not browsers, such as those of React Native, send an Origin with a
	// handshake but not with the request for a ticket. Set it only if that
	// request had a credential that no browser sends on its own: not for
	// cookies, since browsers omit the Origin from some requests.
	AllowedOrigins bool
}

// maxTicketOrigin is the maximum length of an origin in bytes.
const maxTicketOrigin = 2048

// A ticketRecord is the value that the store holds for a ticket.
type ticketRecord struct {
	Path           string         `json:"path"`
	Origin         string         `json:"origin,omitzero"`
	AllowedOrigins bool           `json:"allowed_origins,omitzero"`
	Claims         jsontext.Value `json:"claims"` // encoded token.Claims
}

// IssueTicket issues a ticket for one socket with claims. Pass the claims that
// the guard has found in the request for the ticket. The ticket consists of
// "wst_", a random text of 130 bits, and a MAC by Config.TicketKey, and has 46
// bytes. It expires after [TicketLife]. When the token of the claims expires or
// is revoked, the ticket becomes invalid and the socket ends.
//
// The error is an [*Error] if the request cannot be served: InvalidRequest if
// the path or the origin is not valid, or the claims are longer than a store
// accepts ([store.MaxTicketValue]); StoreUnavailable if the store does not
// answer or is full.
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
	ticket := g.tickets.newTicket()
	err = g.config.Tickets.PutTicket(ctx, storeKey(ticket), record, expires)
	switch {
	case errors.Is(err, store.ErrInvalid):
		return "", &Error{Reason: InvalidRequest, Message: "The token says more than a ticket can stand for", Err: err}
	case err != nil:
		return "", refuse(StoreUnavailable, err)
	}
	return ticket, nil
}

// storeKey returns the key of a ticket in the store.
func storeKey(ticket string) store.TicketKey { return sha256.Sum256([]byte(ticket)) }

// redeem removes the ticket of an upgrade from the store, and returns its
// claims. A ticket for another socket is used up as well. A forged ticket is
// refused without a call of the store.
func (g *Guard) redeem(r *http.Request, ticket string) (*token.Claims, error) {
	if g.config.Tickets == nil {
		return nil, refuse(InternalError, errors.New("an extractor takes tickets, and there is no Config.Tickets"))
	}
	if !g.tickets.made(ticket) {
		return nil, refuseTicket(errors.New("never issued"))
	}
	value, err := g.config.Tickets.TakeTicket(r.Context(), storeKey(ticket))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuseTicket(errors.New("used or expired"))
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

// isFor reports whether a ticket was issued for a handshake with these Origin
// headers, which originPolicy.check has accepted.
func (t *ticketRecord) isFor(lines []string) bool {
	switch len(lines) {
	case 0:
		return t.Origin == ""
	case 1:
		return t.AllowedOrigins || httpx.LowerASCII(lines[0]) == t.Origin
	}
	return false
}

// isTicketPath reports whether the path of a socket is that of its ticket,
// which is canonical. A path with dot segments is not, since no browser sends
// one.
func isTicketPath(u *url.URL, path string) bool {
	sent := urlpath.Sent(u)
	canonical, err := urlpath.Canonical(sent)
	return err == nil && canonical == path && !urlpath.HasDots(sent)
}

// refuseTicket returns a refusal with the same text for every client. why is
// for the log.
func refuseTicket(why error) *Error {
	return &Error{Reason: TokenInvalid, Message: "The ticket is not valid", Err: why}
}
