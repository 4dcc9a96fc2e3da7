package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/adminapi"
	"wsauth/internal/adminclient"
	"wsauth/internal/inspect"
)

type sessionsCmd struct {
	atNodes
	User    string `placeholder:"NAME" help:"Only this user's sessions, including those without open sockets. Names of identity providers' users include the namespace, as in okta|ada."`
	Sockets bool   `help:"Print each open socket."`
	JSON    bool   `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth sessions --help".
func (sessionsCmd) Help() string {
	return `Without --user, it prints the sessions that have open sockets, of the running server and of the other nodes of its cluster. A session with sockets on several nodes has a line for each. Nodes that do not respond within a second are errors, after the sessions of the others. Times are in this machine's time zone; in JSON, seconds since 1970.`
}

// Run prints the sessions.
func (c *sessionsCmd) Run(ctx context.Context) error {
	if c.Sockets {
		return c.listSockets(ctx)
	}
	sessions, unanswered := askNodes(ctx, c.atNodes, func(ctx context.Context, node *adminclient.Client) ([]adminapi.Session, error) {
		return node.Sessions(ctx, c.User)
	})
	if len(sessions) == 0 {
		return unanswered
	}
	var stored []adminapi.StoredSession
	if c.User != "" {
		client, err := c.client()
		if err != nil {
			return err
		}
		if stored, err = client.At(c.Node).StoredSessions(ctx, c.User); err != nil {
			return err
		}
	}
	const head = "USER\tSESSION\tSOCKETS\tSTARTED\tLAST USED\tFROM\tPROGRAM"
	return errors.Join(printList(os.Stdout, c.JSON, sessions[0].node != "", head, merge(sessions, stored)), unanswered)
}

// listSockets prints the open sockets.
func (c *sessionsCmd) listSockets(ctx context.Context) error {
	sockets, unanswered := askNodes(ctx, c.atNodes, func(ctx context.Context, node *adminclient.Client) ([]adminapi.Socket, error) {
		return node.Sockets(ctx, c.User)
	})
	if len(sockets) == 0 {
		return unanswered
	}
	var all []row
	for _, a := range sockets {
		for _, s := range a.value {
			all = append(all, socketRow{a.node, s})
		}
	}
	const head = "USER\tSESSION\tTOKEN\tROUTE\tUPSTREAM\tFROM\tOPENED\tEXPIRES\tKIND"
	return errors.Join(printList(os.Stdout, c.JSON, sockets[0].node != "", head, all), unanswered)
}

// A listedSession is a session in the output. Times are in seconds since 1970.
type listedSession struct {
	Node    string `json:"node,omitzero"` // if there are several, and it has sockets
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

func (l listedSession) at() string { return l.Node }

func (l listedSession) row() string {
	id := l.SID
	if id == "" && l.JTI != "" {
		id = "token " + l.JTI
	}
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%s\t%s\t%s", cell(l.Sub), cell(id), l.Sockets, moment(l.Started), moment(l.Used), cell(l.Remote), cell(l.Agent))
}

// merge returns the stored sessions, followed by the sessions with open sockets
// that are not stored. A session with sockets on several nodes is repeated.
func merge(open []answer[[]adminapi.Session], stored []adminapi.StoredSession) []row {
	ofStored, others := map[string][]row{}, []row{}
	isStored := map[string]adminapi.StoredSession{}
	for _, l := range stored {
		isStored[l.SID] = l
	}
	for _, a := range open {
		for _, s := range a.value {
			if l, ok := isStored[s.SID]; ok && s.SID != "" {
				ofStored[s.SID] = append(ofStored[s.SID], storedSession(l, a.node, s.Sockets))
				continue
			}
			others = append(others, listedSession{Node: a.node, Sub: s.Sub, SID: s.SID, JTI: s.JTI, Sockets: s.Sockets, Started: s.Opened, Remote: s.Remote})
		}
	}
	var all []row
	for _, l := range stored {
		if rows := ofStored[l.SID]; len(rows) > 0 {
			all = append(all, rows...)
		} else {
			all = append(all, storedSession(l, "", 0))
		}
	}
	return append(all, others...)
}

// storedSession returns a stored session with its sockets on a node.
func storedSession(l adminapi.StoredSession, node string, sockets int) listedSession {
	return listedSession{Node: node, Sub: l.Sub, SID: l.SID, Sockets: sockets, Started: l.Started, Used: l.Used, Expires: l.Expires, Remote: l.Remote, Agent: l.Agent}
}

// socketRow is an open socket in the output.
type socketRow struct {
	Node string `json:"node,omitzero"` // if there are several
	adminapi.Socket
}

func (s socketRow) at() string { return s.Node }

func (s socketRow) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", cell(s.Sub), cell(s.SID), cell(s.JTI), cell(s.Route), cell(s.Upstream), cell(s.Remote), moment(s.Opened), moment(s.Expires), cell(s.Kind))
}

// A row is an entry of a list: a JSON object, or cells separated by tabs.
type row interface {
	at() string // the node that it comes from
	row() string
}

// printList prints a table, with a column for nodes if there are several, or a
// JSON array with one entry per line.
func printList(w io.Writer, asJSON, several bool, head string, all []row) error {
	if !asJSON {
		node := func(string) string { return "" }
		if several {
			head = "NODE\t" + head
			node = func(name string) string { return cell(name) + "\t" }
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, head)
		for _, r := range all {
			fmt.Fprintln(table, node(r.at())+r.row())
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
