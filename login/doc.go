// Package login logs users in over HTTP and keeps their sessions. It is a
// handler for any Go server that has a [wsauth.Guard], which checks the tokens.
//
//	st := memory.New(store.Limits{})
//	keys, err := token.NewKeySet(key)
//	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
//	guard, err := wsauth.New(wsauth.Config{
//		Verifier: verifier, Revocations: st, Tickets: st,
//		Extractors: []wsauth.Extractor{
//			wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{},
//		},
//	})
//	users, err := login.OpenUsers("users")
//	service, err := login.New(login.Config{
//		Guard: guard, Store: st, Keys: keys, Users: users,
//	})
//	mux.Handle("/auth/", service)
//	mux.Handle("/ws", guard.Require(wsauth.Access)(chat))
//
// A session starts when a user logs in on a device, and ends at logout or when
// it expires. It is a chain of refresh tokens in the store, each of which
// replaces the one before. Its ID is the sid of all its tokens. Revoking the
// sid ends the session with its tokens and sockets. Refreshing the session
// keeps its sockets open.
//
//	POST   /auth/login              starts a session: a name and a password
//	                                for an access and a refresh token
//	POST   /auth/refresh            a refresh token for new tokens
//	POST   /auth/fresh              the password again, for a fresh access
//	                                token
//	POST   /auth/ticket             an access token for a ticket, which opens
//	                                one socket
//	POST   /auth/logout             ends the session
//	POST   /auth/logout-everywhere  ends all sessions of the user
//	GET    /auth/sessions           lists the sessions of the user
//	DELETE /auth/sessions/{sid}     ends one of them
//	GET    /auth/session            the claims of the access token
//
// An application that authenticates its users itself, such as with passkeys,
// starts sessions with [Service.Start], and ends them with [Service.End] and
// [Service.EndUser].
//
// The files: service.go has the API for applications; handlers.go lists the
// endpoints, which are in login.go, refresh.go, ticket.go, logout.go and
// sessionlist.go; answer.go and cookies.go write answers; origins.go checks
// origins. Below them, without HTTP: sessions.go starts and refreshes sessions;
// issue.go issues their tokens; present.go detects stolen refresh tokens;
// end.go ends sessions; accepted.go tolerates replicas that do not confirm;
// errors.go has the errors for which answer.go writes answers; password.go
// checks passwords, and hashqueue.go limits how many are hashed at a time;
// attempts.go limits failed logins, with device.go and seennetworks.go.
package login
