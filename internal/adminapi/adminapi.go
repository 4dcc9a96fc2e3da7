// Package adminapi defines the JSON types of the operators' API, which
// docs/admin.md describes. The server encodes them, and the command decodes
// them. Times are in seconds since 1970 unless a field says otherwise.
package adminapi

// Nodes is the answer to GET /v1/nodes: the nodes that share the store of the
// server, by name.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// A Node is a server that is alive.
type Node struct {
	ID      string `json:"id,omitzero"` // absent for a server that is not in a cluster
	Name    string `json:"name,omitzero"`
	Version string `json:"version,omitzero"`
	Started int64  `json:"started"`
	This    bool   `json:"this"` // the node that answers
}

// Status is the answer to GET /v1/status: the state of the server.
type Status struct {
	Version string `json:"version,omitzero"`
	Started int64  `json:"started"`
	Uptime  int64  `json:"uptime"` // in seconds
	// Ready reports whether the server admits clients: it knows the
	// revocations and is not draining. If it is not ready, Reason is
	// "restarting" while it drains, and otherwise "store_unavailable".
	Ready  bool    `json:"ready"`
	Reason string  `json:"reason,omitzero"`
	Open   Open    `json:"open"`
	Routes []Route `json:"routes"` // sorted by host and path

	// Degraded reports whether new revocations would be lost if the process
	// ended.
	Degraded    bool        `json:"degraded"`
	Revocations Revocations `json:"revocations"`
}

// Revocations reports how full the log of revocations is. Entries and Limit
// are absent if the store does not report them.
type Revocations struct {
	Entries int `json:"entries,omitzero"`
	Limit   int `json:"limit,omitzero"`
	// Pending is the number of revocations that are in effect on this node
	// only, because the store has not accepted them.
	Pending int `json:"pending"`
}

// Open counts the open sockets and requests, and their sessions and users.
type Open struct {
	Sockets  int `json:"sockets"`
	Requests int `json:"requests"` // plain requests that have taken longer than a second
	Sessions int `json:"sessions"` // with sockets; counted by sid
	Users    int `json:"users"`    // with sockets
}

// A Route is a route and its upstreams.
type Route struct {
	Host        string     `json:"host,omitzero"`
	Path        string     `json:"path"`
	Public      bool       `json:"public"`
	Requirement string     `json:"requirement,omitzero"` // absent for public routes
	Upstreams   []Upstream `json:"upstreams"`            // empty for the demonstration
}

// An Upstream is an upstream of a route.
type Upstream struct {
	Address string `json:"address"`
	Healthy bool   `json:"healthy"` // an unhealthy upstream gets no requests
}

// Sockets is the answer to GET /v1/sockets: a page of the open sockets.
type Sockets struct {
	Sockets []Socket `json:"sockets"`
	Next    string   `json:"next,omitzero"` // "after" of the next page; absent on the last
}

// A Socket is an open socket, or a plain request that has taken longer than a
// second.
type Socket struct {
	// JTI is the ID of the current token. It is empty if the client has not
	// authenticated, and so are SID and Sub.
	JTI      string `json:"jti"`
	SID      string `json:"sid"` // empty if the token has none
	Sub      string `json:"sub"`
	Kind     string `json:"kind"`              // "socket" or "request"
	Route    string `json:"route,omitzero"`    // host and path; absent until an upstream serves it
	Upstream string `json:"upstream,omitzero"` // absent if not known
	Remote   string `json:"remote"`            // address and port of the client
	Opened   int64  `json:"opened"`
	// Expires is when the token expires unless it is renewed. It is absent if
	// the client has not authenticated.
	Expires int64 `json:"expires,omitzero"`
}

// Sessions is the answer to GET /v1/sessions: a page of the sessions that have
// open sockets. A session whose sockets open and close in the meantime may be
// on two pages.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Next     string    `json:"next,omitzero"` // "after" of the next page; absent on the last
}

// A Session summarizes the open sockets of a session or, if their token has no
// sid, of a token.
type Session struct {
	SID     string `json:"sid"`
	JTI     string `json:"jti,omitzero"` // only without a sid
	Sub     string `json:"sub"`
	Sockets int    `json:"sockets"`
	Opened  int64  `json:"opened"` // when the oldest socket was opened
	Remote  string `json:"remote"` // the client of the oldest socket
}

// StoredSessions is the answer to GET /v1/sessions/stored: the sessions of a
// user in the store, with and without open sockets.
type StoredSessions struct {
	Sessions []StoredSession `json:"sessions"`
}

// A StoredSession is a session in the store.
type StoredSession struct {
	SID     string `json:"sid"`
	Sub     string `json:"sub"`
	Started int64  `json:"started"`
	Used    int64  `json:"used"`    // the last login or refresh
	Expires int64  `json:"expires"` // unless it is used
	Ends    int64  `json:"ends"`    // even if it is used
	Remote  string `json:"remote"`  // the address of its last use
	Agent   string `json:"agent"`   // the User-Agent of its last use
	Sockets int    `json:"sockets"`
}

// Revoke is the body of POST /v1/revoke, which revokes tokens and sessions and
// ends their sockets. Exactly one of Token, Session, User and Everything must
// be set. The names are those in claims: names that come from an identity
// provider begin with its namespace and a vertical bar.
type Revoke struct {
	Token      *string `json:"token,omitzero"`      // a jti
	Session    *string `json:"session,omitzero"`    // a sid
	User       *string `json:"user,omitzero"`       // a sub: the sessions started until Before
	Everything *bool   `json:"everything,omitzero"` // true: all sessions started until Before
	// Before is only for User and Everything: a time in RFC 3339 that is not in
	// the future. Default: now.
	Before *string `json:"before,omitzero"`
}

// Revoked is the answer to Revoke. The revocation is as durable as the store,
// unless Confirmed is false.
type Revoked struct {
	Target   string `json:"target"`            // token, session, user or everything
	ID       string `json:"id,omitzero"`       // absent for everything
	Before   string `json:"before,omitzero"`   // only for user and everything
	Sessions *int   `json:"sessions,omitzero"` // only for user: how many ended
	Sockets  int    `json:"sockets"`           // how many ended on the node that answers
	Node     string `json:"node,omitzero"`     // the ID of that node; absent if it is the only one

	// Confirmed reports whether the store has confirmed the revocation. If not,
	// it is in effect on all nodes, but is lost if the store fails over to a
	// replica that lacks it.
	Confirmed bool `json:"confirmed"`
}

// Drain is the body of POST /v1/drain, which ends all sockets. Afterwards the
// server admits no new ones.
type Drain struct {
	// Within is how long draining may take, in seconds, from 1 to 3600.
	// Sockets end one after another during at most half of it. Default: the
	// server's own limit.
	Within *int64 `json:"within,omitzero"`
}

// Draining is the answer to Drain.
type Draining struct {
	Within  int64 `json:"within"`  // in seconds
	Sockets int   `json:"sockets"` // still open
}

// Reload is the body of POST /v1/reload, which reads the server's files again.
type Reload struct {
	Confirm bool `json:"confirm,omitzero"` // apply the changes that need confirmation
}

// Reloaded is the answer to Reload: the result for each file, in sentences
// that name it. Files with errors, and changes that need confirmation, are not
// applied.
type Reloaded struct {
	Changed     []string `json:"changed"`  // what was read and applied
	Warnings    []string `json:"warnings"` // such as keys that take effect after a restart
	Errors      []string `json:"errors"`
	Unconfirmed []string `json:"unconfirmed"` // changes that need Confirm
}
