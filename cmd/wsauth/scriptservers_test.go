package main

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wsauth/internal/testenv"
)

// useServer makes another server the current one. All servers have the same
// clients.
func useServer(ts *testscript.TestScript, _ bool, args []string) {
	all := ts.Value(serverKey{}).(*servers)
	next := all.named[args[0]]
	if next == nil {
		next = newProcess(all.current.clients, all.current.roots)
		all.named[args[0]] = next
	}
	all.current = next
	if next.url != "" {
		next.setenv(ts)
	}
}

// TestClusterScripts runs the scripts with several servers that share a store.
func TestClusterScripts(t *testing.T) {
	testenv.NeedProgram(t, "redis-server")
	testscript.Run(t, scripts("testdata/cluster"))
}

// startRedis starts a server of the store.
func startRedis(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := listener.Addr().String()
	ts.Check(listener.Close())
	_, port, err := net.SplitHostPort(address)
	ts.Check(err)
	dir := ts.MkAbs("redis")
	ts.Check(os.Mkdir(dir, 0o700))
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--maxmemory-policy", "noeviction")
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			break
		}
		if !time.Now().Before(deadline) {
			ts.Fatalf("redis-server does not start")
		}
	}
	ts.Setenv("WSAUTH_STORE", "redis://"+address)
}
