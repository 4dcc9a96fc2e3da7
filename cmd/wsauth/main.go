// Command wsauth serves and manages authenticated WebSockets.
//
// Without a configuration, "wsauth serve" starts a demonstration on
// http://127.0.0.1:8000/.
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"wsauth/internal/await"
	"wsauth/internal/errtext"
)

// A cli is the command line.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Config   configCmd   `cmd:"" help:"Check the file of \"wsauth serve --config\", or print an example."`
	Keys     keysCmd     `cmd:"" help:"Manage the keys that sign and verify tokens."`
	Token    tokenCmd    `cmd:"" help:"Issue, explain and verify tokens."`
	Sessions sessionsCmd `cmd:"" help:"List the sessions and sockets of the running server, and of the other nodes of its cluster."`
	Revoke   revokeCmd   `cmd:"" help:"Revoke a token, a session, a user's sessions or everything on the running server."`
	Reload   reloadCmd   `cmd:"" help:"Make the running server read its files again."`
	Drain    drainCmd    `cmd:"" help:"Take the running server, or another node of its cluster, out of service before it is stopped."`
	Status   statusCmd   `cmd:"" help:"Print the status of the running server, and of the other nodes of its cluster."`
	Nodes    nodesCmd    `cmd:"" help:"List the nodes of the cluster of the running server."`
	Data     dataCmd     `cmd:"" help:"Check the data folder."`
	User     userCmd     `cmd:"" help:"Manage a user file for \"wsauth serve --users\"."`
	Connect  connectCmd  `cmd:"" help:"Open a socket as a client, and explain how it ends and what to do."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	dropEmpty()
	stderr := timedWriter{os.Stderr}
	parser := kong.Must(&cli{}, append([]kong.Option{
		kong.Name("wsauth"),
		kong.Description("Authenticates WebSocket connections for as long as they live. Empty environment variables are treated as unset."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(os.Stdout, stderr),
	}, flagKinds...)...)
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		parser.FatalIfErrorf(usageError(err))
	}
	status, err := runUntilSignal(func(ctx context.Context) error {
		command.BindTo(ctx, (*context.Context)(nil))
		return command.Run()
	})
	if status != 0 {
		printInterrupted(stderr)
		os.Exit(status)
	}
	command.FatalIfErrorf(errtext.Plain(err))
}

// dropEmpty removes the empty WSAUTH_ variables from the environment, because
// Compose files and systemd units pass variables without a value as empty.
func dropEmpty() {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value == "" && strings.HasPrefix(name, "WSAUTH_") {
			_ = os.Unsetenv(name) // fails only for an empty name
		}
	}
}

// stderrTimeout limits how long a write to standard error may take.
const stderrTimeout = 2 * time.Second

// A timedWriter writes to a file that may be a pipe without a reader. A write
// fails after stderrTimeout, so that a process does not hang on its last
// message.
type timedWriter struct{ file *os.File }

func (w timedWriter) Write(p []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stderrTimeout)
	defer cancel()
	p = bytes.Clone(p) // the write may continue in the background
	return await.Do(ctx, func() (int, error) { return w.file.Write(p) })
}

type versionCmd struct{}

// Run prints the version of the module and, if known, the commit.
func (versionCmd) Run() error {
	fmt.Println(version())
	return nil
}

// version returns the output of "wsauth version".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wsauth (unknown version)"
	}
	return describe(info)
}

// describe returns name, version, Go version and commit of a build in one
// line.
func describe(info *debug.BuildInfo) string {
	words := []string{"wsauth", cmp.Or(info.Main.Version, "(devel)"), info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			words = append(words, s.Value)
		}
	}
	return strings.Join(words, " ")
}
