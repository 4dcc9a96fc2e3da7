package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A waitingCommand is a command that waits for input.
type waitingCommand struct {
	*testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// startWaiting starts the command in its own folder, and kills it at the end of
// the test.
func startWaiting(t *testing.T, dir string, stdin *os.File, args ...string) *waitingCommand {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &waitingCommand{T: t, cmd: exec.CommandContext(ctx, "wsauth", args...)}
	w.cmd.Dir, w.cmd.Stdin, w.cmd.Stderr = dir, stdin, &w.stderr
	w.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME=", goRace)
	return w
}

// start starts the command, and waits until it has read all bytes of an input.
func (w *waitingCommand) start(input *os.File) {
	w.Helper()
	if err := w.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	if input != nil {
		w.awaitInput(input, false)
	}
}

// awaitInput waits until an input has unread bytes, or until it has none.
func (w *waitingCommand) awaitInput(input *os.File, some bool) {
	w.Helper()
	for started := time.Now(); ; time.Sleep(time.Millisecond) {
		left, err := unix.IoctlGetInt(int(input.Fd()), unix.TIOCINQ)
		if err != nil {
			w.Fatal(err)
		}
		if left > 0 == some {
			return
		}
		if time.Since(started) > patience {
			w.Fatalf("%d bytes lie in the input", left)
		}
	}
}

// wantEnd checks that the command ends with the exit status of a signal.
func (w *waitingCommand) wantEnd(number syscall.Signal) {
	w.Helper()
	err := w.cmd.Wait()
	failed, _ := errors.AsType[*exec.ExitError](err)
	if failed == nil || failed.ExitCode() != 128+int(number) || !strings.Contains(w.stderr.String(), "wsauth: interrupted\n") {
		w.Errorf("%v, want exit status %d: %s", err, 128+int(number), &w.stderr)
	}
}

var endSignals = map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP}

// TestSignalsEndWhatWaitsForAPipe checks that a command that waits for standard
// input or a named pipe ends at the first signal.
func TestSignalsEndWhatWaitsForAPipe(t *testing.T) {
	const pipe = "PIPE" // replaced by the path of a named pipe
	for _, args := range [][]string{
		{"token", "verify"},
		{"token", "verify", "-"},
		{"token", "inspect"},
		{"token", "inspect", "--keys=" + pipe, "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"},
		{"token", "verify", "--keys=" + pipe, "a.b.c"},
		{"token", "issue", "--keys=" + pipe, "--sub=ada"},
		{"config", "check", "/dev/stdin"},
		{"config", "check", pipe},
		{"config", "check", "tls.yaml"},
		{"config", "check", "ca.yaml"},
		{"user", "add", "users", "ada"},
		{"user", "hash", "ada"},
		{"connect", "ws://127.0.0.1:1/", "--token-file=-"},
		{"connect", "ws://127.0.0.1:1/", "--token-file=" + pipe},
		{"connect", "ws://127.0.0.1:1/", "--user=ada", "--password-file=-"},
		{"connect", "ws://127.0.0.1:1/", "--user=ada", "--password-file=" + pipe},
		{"connect", "wss://127.0.0.1:1/", "--ca=" + pipe},
		{"serve", "--addr=127.0.0.1:0", "--config=" + pipe},
		{"serve", "--addr=127.0.0.1:0", "--tls-key=key.pem", "--tls-cert=" + pipe},
		{"sessions", "--config=" + pipe},
		{"status", "--config=/dev/stdin"},
	} {
		for name, number := range endSignals {
			t.Run(strings.Join(args, " ")+" "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				fifo := filepath.Join(dir, "fifo")
				if err := unix.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				for file, text := range map[string]string{
					"tls.yaml": "tls: {cert: fifo, key: key.pem}\n",
					"ca.yaml":  "routes: [{path: /, upstreams: [https://127.0.0.1:1], tls: {ca: fifo}}]\n",
					"key.pem":  "x",
				} {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				held, err := os.OpenFile(fifo, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer held.Close()
				if _, err := io.WriteString(held, "x"); err != nil {
					t.Fatal(err)
				}
				given := make([]string, len(args))
				for i, arg := range args {
					given[i] = strings.Replace(arg, pipe, fifo, 1)
				}
				// Standard input is the same pipe.
				w := startWaiting(t, dir, held, given...)
				w.start(held)
				if err := w.cmd.Process.Signal(number); err != nil {
					t.Fatal(err)
				}
				w.wantEnd(number)
			})
		}
	}
}

// TestSignalsEndWhatWaitsForATerminal checks that a command that waits for a
// terminal ends at the first signal, including Ctrl-C, and that the terminal
// echoes again.
func TestSignalsEndWhatWaitsForATerminal(t *testing.T) {
	for _, c := range []struct {
		args   []string
		prompt string // "" where a line is read before
	}{
		{[]string{"token", "verify"}, ""},
		{[]string{"token", "inspect"}, ""},
		{[]string{"config", "check", "/dev/stdin"}, ""},
		{[]string{"serve", "--addr=127.0.0.1:0", "--config=/dev/tty"}, ""},
		{[]string{"user", "add", "users", "ada"}, "Password: "},
		{[]string{"user", "hash", "ada"}, "Password: "},
		{[]string{"connect", "ws://127.0.0.1:1/", "--user=ada"}, "Password: "},
	} {
		ways := map[string]func(master *os.File, p *os.Process) (syscall.Signal, error){
			"Ctrl-C": func(master *os.File, _ *os.Process) (syscall.Signal, error) {
				_, err := io.WriteString(master, "\x03")
				return syscall.SIGINT, err
			},
		}
		if c.prompt != "" {
			ways["Ctrl-backslash"] = func(master *os.File, _ *os.Process) (syscall.Signal, error) {
				_, err := io.WriteString(master, "\x1a\x1c") // Ctrl-Z has no effect
				return syscall.SIGQUIT, err
			}
		}
		for name, number := range endSignals {
			ways[name] = func(_ *os.File, p *os.Process) (syscall.Signal, error) { return number, p.Signal(number) }
		}
		for name, interrupt := range ways {
			t.Run(strings.Join(c.args, " ")+" "+name, func(t *testing.T) {
				t.Parallel()
				terminal, master := openTerminal(t)
				w := startWaiting(t, t.TempDir(), terminal, c.args...)
				w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
				if c.prompt == "" {
					if _, err := io.WriteString(master, "x\n"); err != nil {
						t.Fatal(err)
					}
					w.awaitInput(terminal, true)
					w.start(terminal)
				} else {
					prompts, stderr, err := os.Pipe()
					if err != nil {
						t.Fatal(err)
					}
					defer prompts.Close()
					w.cmd.Stderr = stderr
					w.start(nil)
					_ = stderr.Close()
					got := make([]byte, len(c.prompt))
					if _, err := io.ReadFull(prompts, got); err != nil || string(got) != c.prompt {
						t.Errorf("prompt %q, %v", got, err)
					}
					if showsInput(t, terminal) {
						t.Error("the terminal shows the password")
					}
					defer func() {
						rest, err := io.ReadAll(prompts)
						if err != nil || !strings.Contains(string(rest), "wsauth: interrupted\n") {
							t.Errorf("got %q, %v", rest, err)
						}
					}()
					w.stderr.WriteString("wsauth: interrupted\n") // wantEnd reads it here; the deferred check has read the pipe
				}
				number, err := interrupt(master, w.cmd.Process)
				if err != nil {
					t.Fatal(err)
				}
				w.wantEnd(number)
				if !showsInput(t, terminal) {
					t.Error("the terminal does not echo any more")
				}
			})
		}
	}
}

func showsInput(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// TestSignalsLetAServerStop checks that a server that has read its files shuts
// down normally, with status 0, even if a later read of a pipe hangs.
func TestSignalsLetAServerStop(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "wsauth.yaml")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWaiting(t, dir, nil, "serve", "--addr=127.0.0.1:0", "--config="+fifo)
	w.cmd.Stderr = nil
	log, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	config, err := os.OpenFile(fifo, os.O_WRONLY, 0) // blocks until it is opened for reading
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(config, "insecure_demo_user: true\n"); err != nil {
		t.Fatal(err)
	}
	if err := config.Close(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "msg=listening") {
	}
	rest := make(chan []byte, 1)
	go func() {
		text, _ := io.ReadAll(log) // the log until the end
		rest <- text
	}()
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if config, err = os.OpenFile(fifo, os.O_WRONLY, 0); err != nil { // blocks until the next reload
		t.Fatal(err)
	}
	defer config.Close()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text := <-rest
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
}
