package wsauth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/token"
)

// maxFirstMessage is the maximum number of bytes that a client may send before
// it has authenticated, including frame headers.
const maxFirstMessage = 64 << 10

// FirstMessage is an extractor for clients that send their token in the first
// message on the socket itself, because they cannot set a header and should
// not put a token into the URL. Their handshakes are accepted without claims.
// The handler upgrades, and passes what it reads to [Socket.Authenticate]
// before it does anything else.
//
// Until then the socket counts towards [Limits.Unauthenticated], may send 64
// KiB, and ends with AuthTimeout after Timeout. A client should wait for the
// reply before it sends more. If it does not wait, the handler reads the other
// messages once the client has authenticated.
type FirstMessage struct {
	// Timeout is how long the client has to send its token after the handshake.
	// After that the socket no longer counts towards [Limits.Unauthenticated],
	// even if its client does not disconnect. At most a minute. Default: 10 s.
	Timeout time.Duration
}

func (f FirstMessage) validate() error {
	if f.Timeout < 0 || f.Timeout > time.Minute {
		return errors.New("FirstMessage: Timeout is not from 0 to a minute")
	}
	return nil
}

func (f FirstMessage) timeout() time.Duration {
	if f.Timeout == 0 {
		return 10 * time.Second
	}
	return f.Timeout
}

// Extract returns no credential: the message comes after the handshake.
func (FirstMessage) Extract(*http.Request, Requirement) (Credential, error) { return Credential{}, nil }

// missing returns the text for a plain HTTP request, which has no messages.
func (FirstMessage) missing(q Requirement) string { return "Missing " + string(q.Type()) + " token" }

// Strip does nothing: the request carries no credential.
func (FirstMessage) Strip(*http.Request) {}

// Authenticate handles a text message of the client that may carry a token.
//
// If the guard waits for the first message, that message must carry a token in
// one of these forms. Otherwise the socket ends with TokenMissing:
//
//	{"type":"auth","token":"…"}
//	{"type":"connection_init","payload":{"token":"…"}}
//
// The second form is that of graphql-transport-ws. Its payload may contain
// "Authorization": "Bearer …" instead; another scheme belongs to the
// application. The handler sends the reply to the client. It is
// {"type":"auth_ok","expires_at":…}, with the expiry of the token in seconds
// since 1970, or {"type":"connection_ack"}.
//
// Later, a message of the first form renews the socket like [Socket.Renew]; on
// an [Optional] route it may come at any time. All other messages belong to
// the application: the reply and the error are nil.
//
// An error is an [*Error], and has ended the socket. If a later token cannot
// be verified because a store does not answer, the socket stays as it was, and
// the reply is {"type":"auth_error","reason":"store_unavailable"}. Messages
// longer than 64 KiB carry no token: as the first message they end the socket
// with MessageTooBig.
func (s *Socket) Authenticate(ctx context.Context, message []byte) (reply []byte, err error) {
	if s.Claims() != nil || s.requirement == Optional {
		return s.renewBy(ctx, message)
	}
	if s.ender == nil {
		return nil, errNoSocket
	}
	if len(message) > maxFirstMessage {
		return nil, s.endRefused(refuse(MessageTooBig, nil))
	}
	m, err := readAuthMessage(message)
	if err != nil {
		return nil, s.endRefused(&Error{Reason: TokenMissing, Message: "The first message carries no token", Err: err})
	}
	if err := s.Renew(ctx, m.token); err != nil {
		s.EndWith(&EndError{Reason: reasonOf(err), Err: err}) // Renew does not end it with StoreUnavailable
		return nil, err
	}
	return m.reply(s.Claims()), nil
}

// renewBy handles a message that need not carry a token.
func (s *Socket) renewBy(ctx context.Context, message []byte) ([]byte, error) {
	// Most messages belong to the application, and are not parsed.
	if len(message) > maxFirstMessage || !bytes.Contains(message, []byte(`"auth"`)) {
		return nil, nil
	}
	m, err := readAuthMessage(message)
	if err != nil || m.kind != "auth" {
		return nil, nil //nolint:nilerr // a message of the application
	}
	err = s.Renew(ctx, m.token)
	if reason := reasonOf(err); reason == StoreUnavailable {
		return []byte(`{"type":"auth_error","reason":"` + string(reason) + `"}`), nil
	}
	if err != nil {
		return nil, err
	}
	return m.reply(s.Claims()), nil
}

// An authMessage is a message that carries a token.
type authMessage struct {
	kind  string // "auth" or "connection_init"
	token string
}

// readAuthMessage parses a JSON object strictly: member names are
// case-sensitive, and duplicates are errors. Unknown members belong to the
// application.
func readAuthMessage(message []byte) (authMessage, error) {
	var m struct {
		Type    string  `json:"type"`
		Token   *string `json:"token"`
		Payload *struct {
			Token         *string `json:"token"`
			Authorization *string `json:"Authorization"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return authMessage{}, errors.New("not a JSON object of the known form")
	}
	raw := m.Token
	if m.Type == "connection_init" && m.Token == nil && m.Payload != nil {
		raw = m.Payload.Token
		if header := m.Payload.Authorization; header != nil && !(Header{}).isForeign(*header) {
			scheme, value, _ := strings.Cut(*header, " ")
			if raw != nil || !strings.EqualFold(scheme, "Bearer") {
				return authMessage{}, errors.New("two tokens, or an Authorization that is not Bearer")
			}
			raw = &value
		}
	} else if m.Type != "auth" {
		raw = nil
	}
	if raw == nil || *raw == "" {
		return authMessage{}, errors.New("no token")
	}
	return authMessage{m.Type, *raw}, nil
}

// reply returns the reply to the client.
func (m authMessage) reply(claims *token.Claims) []byte {
	if m.kind == "connection_init" {
		return []byte(`{"type":"connection_ack"}`)
	}
	reply, err := json.Marshal(struct {
		Type      string `json:"type"`
		ExpiresAt int64  `json:"expires_at"`
	}{"auth_ok", claims.ValidUntil().Unix()})
	if err != nil {
		panic(err) // cannot happen with a string and a number
	}
	return reply
}
