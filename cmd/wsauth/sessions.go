package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/gateway"
	"wsauth/internal/inspect"
)

// pageSize is how many entries are asked for at once.
const pageSize = "1000"

type sessionsCmd struct {
	serverAt
	User    string `placeholder:"NAME" help:"Only those of this user, and logins without open sockets as well. Users of identity providers have the namespace in front, as in okta|ada."`
	Sockets bool   `help:"Print each open socket."`
	JSON    bool   `help:"Print JSON, for programs."`
}

// Help is the text under "wsauth sessions --help".
func (sessionsCmd) Help() string {
	return `Asks the running server. Without --user it prints the sessions that have open sockets. Moments are those of this machine's time zone; in JSON, seconds since 1970.`
}

// Run prints them.
func (c *sessionsCmd) Run(ctx context.Context) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	if c.Sockets {
		return c.sockets(ctx, o)
	}
	query := url.Values{}
	if c.User != "" {
		query.Set("user", c.User)
	}
	var sessions []gateway.AdminSession
	err = pages(query, func(query url.Values) (string, error) {
		var page gateway.AdminSessions
		err := o.get(ctx, "/v1/sessions", query, &page)
		sessions = append(sessions, page.Sessions...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	var logins gateway.AdminLogins
	if c.User != "" {
		if err := o.get(ctx, "/v1/logins", query, &logins); err != nil {
			return err
		}
	}
	return printList(os.Stdout, c.JSON, "USER\tSESSION\tSOCKETS\tSINCE\tLAST USED\tFROM\tPROGRAM", merge(sessions, logins.Logins))
}

// pages asks for one page after the other.
func pages(query url.Values, ask func(url.Values) (next string, err error)) error {
	query.Set("limit", pageSize)
	defer query.Del("limit")
	defer query.Del("after")
	for {
		next, err := ask(query)
		if err != nil || next == "" {
			return err
		}
		query.Set("after", next)
	}
}

// A listed is one session as it is printed. Moments are in seconds since 1970.
type listed struct {
	Sub     string `json:"sub"`
	SID     string `json:"sid,omitzero"`
	JTI     string `json:"jti,omitzero"` // where there is no sid
	Sockets int    `json:"sockets"`
	Since   int64  `json:"since"`            // the login, or where none is on record the oldest socket
	Used    int64  `json:"used,omitzero"`    // of a login
	Expires int64  `json:"expires,omitzero"` // the same
	Remote  string `json:"remote"`
	Agent   string `json:"agent,omitzero"` // of a login
}

func (l listed) row() string {
	id := l.SID
	if id == "" && l.JTI != "" {
		id = "token " + l.JTI
	}
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%s\t%s\t%s", cell(l.Sub), cell(id), l.Sockets, moment(l.Since), moment(l.Used), cell(l.Remote), cell(l.Agent))
}

// merge lists the logins, and of the sessions those that are none of them.
func merge(sessions []gateway.AdminSession, logins []gateway.AdminLogin) []row {
	var all []row
	on := map[string]bool{}
	for _, l := range logins {
		on[l.SID] = true
		all = append(all, listed{Sub: l.Sub, SID: l.SID, Sockets: l.Sockets, Since: l.Began, Used: l.Used, Expires: l.Expires, Remote: l.Remote, Agent: l.Agent})
	}
	for _, s := range sessions {
		if s.SID == "" || !on[s.SID] {
			all = append(all, listed{Sub: s.Sub, SID: s.SID, JTI: s.JTI, Sockets: s.Sockets, Since: s.Since, Remote: s.Remote})
		}
	}
	return all
}

// socketRow is one open socket as it is printed.
type socketRow gateway.AdminSocket

func (s socketRow) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", cell(s.Sub), cell(s.SID), cell(s.JTI), cell(s.Route), cell(s.Upstream), cell(s.Remote), moment(s.Since), moment(s.Expires), cell(s.Kind))
}

func (c *sessionsCmd) sockets(ctx context.Context, o *operator) error {
	query := url.Values{}
	if c.User != "" {
		query.Set("user", c.User)
	}
	var all []row
	err := pages(query, func(query url.Values) (string, error) {
		var page gateway.AdminSockets
		err := o.get(ctx, "/v1/sockets", query, &page)
		for _, s := range page.Sockets {
			all = append(all, socketRow(s))
		}
		return page.Next, err
	})
	if err != nil {
		return err
	}
	return printList(os.Stdout, c.JSON, "USER\tSESSION\tTOKEN\tROUTE\tUPSTREAM\tFROM\tSINCE\tEXPIRES\tKIND", all)
}

// A row is what is printed as one line: as JSON, or as cells between tabs.
type row interface{ row() string }

// printList prints a table, or a JSON array with an entry in each line.
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

// cell is a text of the server's in a table, which no terminal obeys.
func cell(s string) string { return orDash(inspect.Printable(s)) }

// moment is a moment in a table.
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

// Run prints how the running server is.
func (c *statusCmd) Run(ctx context.Context) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	var s gateway.AdminStatus
	if err := o.get(ctx, "/v1/status", nil, &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, s)
	}
	fmt.Printf("version   %s\n", cell(s.Version))
	fmt.Printf("started   %s, %s ago\n", moment(s.Started), time.Duration(s.Uptime)*time.Second)
	fmt.Printf("ready     %s\n", readiness(s))
	if r := s.Revocations; r.Limit > 0 {
		fmt.Printf("revoked   %d of %d entries of the log are taken\n", r.Entries, r.Limit)
	}
	if s.Revocations.Held > 0 {
		fmt.Printf("held      %s, which the store did not take: a restart may forget them\n", count(s.Revocations.Held, "revocation"))
	}
	fmt.Printf("open      %s of %s and %s\n", count(s.Open.Sockets, "socket"), count(s.Open.Sessions, "session"), count(s.Open.Users, "user"))
	fmt.Printf("          %s that have taken longer than a second\n", count(s.Open.Requests, "request"))
	for _, r := range s.Routes {
		asks := r.Requirement
		if r.Public {
			asks = "public"
		}
		fmt.Printf("route     %s: %s\n", inspect.Printable(r.Host+r.Path), cell(asks))
		for _, u := range r.Upstreams {
			fmt.Printf("  to      %s: %s\n", inspect.Printable(u.Address), map[bool]string{true: "well", false: "not well, and passed over"}[u.Well])
		}
	}
	return nil
}

// readiness says whether a server lets clients in and, where it does not, why.
func readiness(s gateway.AdminStatus) string {
	switch {
	case s.Ready && s.Degraded:
		return "yes, but degraded: the store takes no revocation now"
	case s.Ready:
		return "yes"
	case s.Reason == string(wsauth.Restarting):
		return "no: it drains, and lets nobody in"
	}
	return "no: it does not know what is revoked, and lets nobody in"
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "one " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
