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

// maxFirstMessage is how many bytes a client may send before it has
// authenticated, frame heads included.
const maxFirstMessage = 64 << 10

// A FirstMessage is the location of a token in the first message on the socket
// itself, for clients that can set no header and should put nothing into the
// URL. Such a handshake passes without claims: the handler upgrades, and gives
// what it reads to [Socket.Authenticate] before it does anything else.
//
// Until then the socket counts as unauthenticated (see [Limits]), may send 64
// KiB, and ends with AuthTimeout after Timeout. A client should wait for the
// reply before it sends more. If it does not, the handler reads the rest after
// the first message, and so after the client has authenticated.
type FirstMessage struct {
	// Timeout is how long the client has to send its token, from the
	// handshake. When it is over the socket no longer counts as
	// unauthenticated, even if its client does not hang up. At most a minute.
	// Default: 10 s.
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

// Extract returns nothing: the message is yet to come.
func (FirstMessage) Extract(*http.Request, Requirement) (Credential, error) { return Credential{}, nil }

// Missing is the text for a plain HTTP request, which has no messages.
func (FirstMessage) Missing(q Requirement) string { return "Missing " + string(q.Type()) + " token" }

// Strip does nothing: the request carries no credential.
func (FirstMessage) Strip(*http.Request) {}

// Authenticate takes a text message of the client, which may carry a token.
//
// If the guard waits for the first message, it must carry one in one of these
// forms, or the socket ends with TokenMissing:
//
//	{"type":"auth","token":"…"}
//	{"type":"connection_init","payload":{"token":"…"}}
//
// The second is that of graphql-transport-ws, whose payload may have
// "Authorization": "Bearer …" instead; one of another scheme is the
// application's. The reply is for the client: it says
// {"type":"auth_ok","expires_at":…} with the token's end in seconds since 1970,
// or {"type":"connection_ack"}.
//
// Later, a message of the first form renews the socket, as [Socket.Renew]
// does; on an [Optional] route it may come at any time. Any other message is
// the application's: the reply and the error are then nil.
//
// An error is an [*Error], and has ended the socket. Where it cannot be known
// whether a later token is good, the socket stays as it was, and the reply says
// {"type":"auth_error","reason":"store_unavailable"}. Messages longer than 64
// KiB carry no token: as the first one they end the socket with MessageTooBig.
func (s *Socket) Authenticate(ctx context.Context, message []byte) (reply []byte, err error) {
	if s.Claims() != nil || s.requirement == Optional {
		return s.renewBy(ctx, message)
	}
	if s.ender == nil {
		return nil, errNoSocket
	}
	if len(message) > maxFirstMessage {
		return nil, s.refused(refuse(MessageTooBig, nil))
	}
	m, err := readAuthMessage(message)
	if err != nil {
		return nil, s.refused(&Error{Reason: TokenMissing, Message: "The first message carries no token", Err: err})
	}
	if err := s.Renew(ctx, m.token); err != nil {
		s.End(reasonOf(err).End(err)) // StoreUnavailable leaves that to its caller
		return nil, err
	}
	return m.reply(s.Claims()), nil
}

// renewBy takes a message of a client that may stay anonymous.
func (s *Socket) renewBy(ctx context.Context, message []byte) ([]byte, error) {
	// Most messages are the application's, and need not be parsed to know it.
	if len(message) > maxFirstMessage || !bytes.Contains(message, []byte(`"auth"`)) {
		return nil, nil
	}
	m, err := readAuthMessage(message)
	if err != nil || m.kind != "auth" {
		return nil, nil //nolint:nilerr // then it is the application's
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

// readAuthMessage reads a JSON object strictly: names are exact, and none
// comes twice. Members that it does not know are the application's.
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

// reply is what the client is told.
func (m authMessage) reply(claims *token.Claims) []byte {
	if m.kind == "connection_init" {
		return []byte(`{"type":"connection_ack"}`)
	}
	reply, err := json.Marshal(struct {
		Type      string `json:"type"`
		ExpiresAt int64  `json:"expires_at"`
	}{"auth_ok", claims.ValidUntil().Unix()})
	if err != nil {
		panic(err) // a string and a number
	}
	return reply
}
