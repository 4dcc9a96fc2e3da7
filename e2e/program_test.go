package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build makes all programs, once.
var build = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", scratch, "./cmd/wsauth", "./examples/query", "./examples/cookie")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

// A program is one of ours, running.
type program struct {
	url    string // where it listens, without a path
	output *output
	cmd    *exec.Cmd
	ended  chan error // gets the result once
	told   bool       // to stop

	killed, stopped bool
}

// address finds where a program says that it listens.
var address = regexp.MustCompile(`listening.*?(http://127\.0\.0\.1:[0-9]+)`)

// start runs a program until the end of the test, when it must stop cleanly.
// A test that starts one looks at it with the browser.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	needBrowser(t)
	if err := build(); err != nil {
		t.Fatalf("the programs do not build: %v", err)
	}
	p := &program{output: newOutput(), ended: make(chan error, 1)}
	p.cmd = exec.Command(filepath.Join(scratch, name), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t) })
	p.url = p.output.wait(t, address)[1]
	return p
}

// startServer runs "wsauth serve" with a key of its own.
func startServer(t *testing.T, args ...string) *program {
	t.Helper()
	return start(t, "wsauth", append([]string{"serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, args...)...)
}

// startGateway runs "wsauth serve" with a configuration. Its file of users is
// users.txt, with the user ada.
func startGateway(t *testing.T, config string) *program {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "wsauth.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	add := exec.Command(filepath.Join(scratch, "wsauth"), "user", "add", filepath.Join(dir, "users.txt"), "ada")
	add.Stdin = strings.NewReader("long-test-password\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return startServer(t, "--config", file)
}

// again starts a server like this one, which has ended: at the same address,
// with the same data.
func (p *program) again(t *testing.T) *program {
	t.Helper()
	p.stop(t)
	args := slices.Clone(p.cmd.Args[1:])
	args[slices.Index(args, "--addr")+1] = strings.TrimPrefix(p.url, "http://")
	return start(t, filepath.Base(p.cmd.Path), args...)
}

// terminate asks the program to stop, once: a second signal would end it at
// once.
func (p *program) terminate(t *testing.T) {
	t.Helper()
	if p.told {
		return
	}
	p.told = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// kill ends the program as a machine does that loses its power.
func (p *program) kill(t *testing.T) {
	t.Helper()
	p.told, p.killed = true, true
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// stop asks the program to stop, where that was not done, and insists after a
// while. It may be called again.
func (p *program) stop(t *testing.T) {
	if p.stopped {
		return
	}
	p.stopped = true
	p.terminate(t)
	select {
	case err := <-p.ended:
		if err != nil && !p.killed {
			t.Errorf("%s: %v\n%s", p.cmd.Path, err, p.output)
		}
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s does not stop: %v\n%s", p.cmd.Path, <-p.ended, p.output)
	}
}

// An output collects what a program writes.
type output struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{} // closed at the next write
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

// Write takes part of the output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

// String is the output so far.
func (o *output) String() string {
	text, _ := o.now()
	return text
}

func (o *output) now() (text string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.grown
}

// wait waits until the output matches, and returns the match.
func (o *output) wait(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	late := time.After(patience)
	for {
		text, grown := o.now()
		if match := pattern.FindStringSubmatch(text); match != nil {
			return match
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("the program does not write %s, but\n%s", pattern, text)
		}
	}
}
