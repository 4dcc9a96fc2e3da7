package adminclient

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wsauth/internal/testenv"
)

// TestSocketOfAnotherUser checks that another user cannot open the socket, and
// that the error says so.
func TestSocketOfAnotherUser(t *testing.T) {
	if os.Getenv("WSAUTH_ASK") != "" {
		_, err := NewSocket(os.Getenv("WSAUTH_ASK")).Status(t.Context())
		fmt.Println("answer:", err)
		return
	}
	testenv.NeedRoot(t)
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil { //nolint:gosec // another user runs it
		t.Fatal(err)
	}
	ask := exec.Command(program, "-test.run", "^TestSocketOfAnotherUser$")
	ask.Dir, ask.Env = dir, []string{"WSAUTH_ASK=" + path}
	ask.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	answer, err := ask.CombinedOutput()
	if err != nil || !strings.Contains(string(answer), "answer: this user is not allowed to open "+path+": run the command as the server's user") {
		t.Errorf("%v: got %s", err, answer)
	}
}
