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

	"wsauth/internal/wstest"
)

// build builds all programs, once.
var build = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", scratch, "./cmd/wsauth", "./examples/query", "./examples/cookie")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

// A program is a running program of this project.
type program struct {
	url    string // without a path
	output *wstest.Log
	cmd    *exec.Cmd
	ended  chan error // receives the result once
	told   bool       // whether it was told to stop

	killed, stopped bool
}

// address matches the address in the line that a program prints when it
// listens.
var address = regexp.MustCompile(`listening.*?(http://127\.0\.0\.1:[0-9]+)`)

// start runs a program until the test ends. The program must then stop cleanly.
// start skips the test if there is no browser.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	needBrowser(t)
	if err := build(); err != nil {
		t.Fatalf("the programs do not build: %v", err)
	}
	p := &program{output: new(wstest.Log), ended: make(chan error, 1)}
	p.cmd = exec.Command(filepath.Join(scratch, name), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t) })
	p.url = await(t, p.output, address)[1]
	return p
}

// startServer runs "wsauth serve" with a data folder of its own.
func startServer(t *testing.T, args ...string) *program {
	t.Helper()
	return start(t, "wsauth", append([]string{"serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, args...)...)
}

// startGateway runs "wsauth serve" with a configuration. The user file,
// users.txt in the folder of the configuration, contains the user ada.
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

// restart stops the program, unless that was done, and starts it again at the
// same address with the same data.
func (p *program) restart(t *testing.T) *program {
	t.Helper()
	p.stop(t)
	args := slices.Clone(p.cmd.Args[1:])
	args[slices.Index(args, "--addr")+1] = strings.TrimPrefix(p.url, "http://")
	return start(t, filepath.Base(p.cmd.Path), args...)
}

// terminate sends SIGTERM to the program, only once: a second signal would end
// it at once.
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

// kill kills the program without a warning, as a power failure would.
func (p *program) kill(t *testing.T) {
	t.Helper()
	p.told, p.killed = true, true
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// stop terminates the program unless that was done, and kills it if it does not
// end in time. Further calls do nothing.
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

// await waits until the output of a program matches, and returns the match.
func await(t *testing.T, output *wstest.Log, pattern *regexp.Regexp) (match []string) {
	t.Helper()
	output.Wait(t, pattern.String(), func(text string) bool {
		match = pattern.FindStringSubmatch(text)
		return match != nil
	})
	return match
}
