package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
)

type sessionsCmd struct {
	serverAt
	User    string `placeholder:"NAME" help:"Only this user's sessions, including those without open sockets. Names of identity providers' users include the namespace, as in okta|ada."`
	Sockets bool   `help:"Print each open socket."`
	JSON    bool   `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth sessions --help".
func (sessionsCmd) Help() string {
	return `Without --user, it prints the sessions of the running server that have open sockets. Times are in this machine's time zone; in JSON, seconds since 1970.`
}

// Run prints the sessions.
func (c *sessionsCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if c.Sockets {
		sockets, err := client.Sockets(ctx, c.User)
		if err != nil {
			return err
		}
		return printSockets(os.Stdout, c.JSON, sockets)
	}
	sessions, err := client.Sessions(ctx, c.User)
	if err != nil {
		return err
	}
	var stored []adminapi.StoredSession
	if c.User != "" {
		if stored, err = client.StoredSessions(ctx, c.User); err != nil {
			return err
		}
	}
	return printList(os.Stdout, c.JSON, "USER\tSESSION\tSOCKETS\tSTARTED\tLAST USED\tFROM\tPROGRAM", merge(sessions, stored))
}

// A listedSession is a session in the output. Times are in seconds since 1970.
type listedSession struct {
	Sub     string `json:"sub"`
	SID     string `json:"sid,omitzero"`
	JTI     string `json:"jti,omitzero"` // if there is no sid
	Sockets int    `json:"sockets"`
	// When the session started or, if the store does not have it, when its
	// oldest socket was opened.
	Started int64  `json:"started"`
	Used    int64  `json:"used,omitzero"`    // for sessions of the store
	Expires int64  `json:"expires,omitzero"` // for sessions of the store
	Remote  string `json:"remote"`
	Agent   string `json:"agent,omitzero"` // for sessions of the store
}

func (l listedSession) row() string {
	id := l.SID
	if id == "" && l.JTI != "" {
		id = "token " + l.JTI
	}
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%s\t%s\t%s", cell(l.Sub), cell(id), l.Sockets, moment(l.Started), moment(l.Used), cell(l.Remote), cell(l.Agent))
}

// merge returns the stored sessions, followed by the sessions with open sockets
// that are not stored.
func merge(sessions []adminapi.Session, stored []adminapi.StoredSession) []row {
	var all []row
	isStored := map[string]bool{}
	for _, l := range stored {
		isStored[l.SID] = true
		all = append(all, listedSession{Sub: l.Sub, SID: l.SID, Sockets: l.Sockets, Started: l.Started, Used: l.Used, Expires: l.Expires, Remote: l.Remote, Agent: l.Agent})
	}
	for _, s := range sessions {
		if s.SID == "" || !isStored[s.SID] {
			all = append(all, listedSession{Sub: s.Sub, SID: s.SID, JTI: s.JTI, Sockets: s.Sockets, Started: s.Opened, Remote: s.Remote})
		}
	}
	return all
}

// socketRow is an open socket in the output.
type socketRow adminapi.Socket

func (s socketRow) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", cell(s.Sub), cell(s.SID), cell(s.JTI), cell(s.Route), cell(s.Upstream), cell(s.Remote), moment(s.Opened), moment(s.Expires), cell(s.Kind))
}

func printSockets(w io.Writer, asJSON bool, sockets []adminapi.Socket) error {
	var all []row
	for _, s := range sockets {
		all = append(all, socketRow(s))
	}
	return printList(w, asJSON, "USER\tSESSION\tTOKEN\tROUTE\tUPSTREAM\tFROM\tOPENED\tEXPIRES\tKIND", all)
}

// A row is an entry of a list: a JSON object, or cells separated by tabs.
type row interface{ row() string }

// printList prints a table, or a JSON array with one entry per line.
func printList(w io.Writer, asJSON bool, head string, all []row) error {
	if !asJSON {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, head)
		for _, r := range all {
			fmt.Fprintln(table, r.row())
		}
		return table.Flush()
	}
	for i, r := range all {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s%s", map[bool]string{true: "[\n", false: ",\n"}[i == 0], inspect.Escape(string(text)))
	}
	_, err := fmt.Fprintln(w, map[bool]string{true: "[]", false: "\n]"}[len(all) == 0])
	return err
}

// printJSON prints a value as JSON in one line.
func printJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, inspect.Escape(string(text)))
	return err
}

// cell returns a text from the server for a table, with control characters
// escaped.
func cell(s string) string { return orDash(inspect.Printable(s)) }

// moment formats a time for a table.
func moment(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Unix(seconds, 0).Format(time.DateTime)
}

type statusCmd struct {
	serverAt
	JSON bool `help:"Print JSON, for programs."`
}

// Run prints the status of the running server.
func (c *statusCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, s)
	}
	fmt.Printf("version   %s\n", cell(s.Version))
	fmt.Printf("started   %s, %s ago\n", moment(s.Started), time.Duration(s.Uptime)*time.Second)
	fmt.Printf("ready     %s\n", readiness(s))
	if r := s.Revocations; r.Limit > 0 {
		fmt.Printf("revoked   %d of %d entries of the log are in use\n", r.Entries, r.Limit)
	}
	if s.Revocations.Pending > 0 {
		fmt.Printf("pending   %s, not yet in the store: a restart may lose them\n", errtext.Count(s.Revocations.Pending, "revocation"))
	}
	fmt.Printf("open      %s of %s and %s\n", errtext.Count(s.Open.Sockets, "socket"), errtext.Count(s.Open.Sessions, "session"), errtext.Count(s.Open.Users, "user"))
	fmt.Printf("          %s longer than a second\n", errtext.Count(s.Open.Requests, "request"))
	for _, r := range s.Routes {
		asks := r.Requirement
		if r.Public {
			asks = "public"
		}
		fmt.Printf("route     %s: %s\n", inspect.Printable(r.Host+r.Path), cell(asks))
		for _, u := range r.Upstreams {
			fmt.Printf("  to      %s: %s\n", inspect.Printable(u.Address), map[bool]string{true: "healthy", false: "unhealthy, gets no requests"}[u.Healthy])
		}
	}
	return nil
}

// readiness says whether a server accepts clients, and if not, why.
func readiness(s adminapi.Status) string {
	switch {
	case s.Ready && s.Degraded:
		return "yes, but degraded: the store accepts no revocations now"
	case s.Ready:
		return "yes"
	case s.Reason == string(wsauth.Restarting):
		return "no: it is draining and accepts no new sockets"
	}
	return "no: it does not know what is revoked and accepts no credentials"
}
