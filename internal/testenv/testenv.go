// Package testenv tells tests what they can expect of the machine they run on.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// All reports whether every test must run, and long ones at full length: the
// environment variable WSAUTH_TEST_ALL is set, as it is in CI.
func All() bool { return os.Getenv("WSAUTH_TEST_ALL") != "" }

// Skip skips the test, or fails it if every test must run.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if All() {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// NeedRoot skips the test unless it runs as root. Only root may give files and
// processes to other users.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "needs root")
	}
}

// NeedProgram returns the path of an installed program. It skips the test if
// there is none.
func NeedProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, name+" is not installed; .ci/run installs it")
	}
	return path
}

// Size returns how large a test should be: usual, or all if every test must
// run at full length.
func Size(usual, all int) int {
	if All() {
		return all
	}
	return usual
}
