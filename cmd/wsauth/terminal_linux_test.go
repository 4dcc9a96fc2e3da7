package main

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminalDoesNotShowAPassword(t *testing.T) {
	terminal, _ := openTerminal(t)
	shows := func() bool {
		t.Helper()
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), getTermios)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag&unix.ECHO != 0
	}
	if !shows() {
		t.Fatal("the terminal does not echo at first")
	}
	show, err := hideInput(terminal)
	if err != nil {
		t.Fatal(err)
	}
	if shows() {
		t.Error("the terminal echoes the password")
	}
	if err := show(); err != nil || !shows() {
		t.Errorf("the terminal does not echo again (%v)", err)
	}
}

// TestIsTerminal checks that isTerminal distinguishes a terminal from other
// devices.
func TestIsTerminal(t *testing.T) {
	if terminal, _ := openTerminal(t); !isTerminal(terminal) {
		t.Error("a terminal is none")
	}
	if f, err := os.Open(os.DevNull); err != nil || isTerminal(f) {
		t.Errorf("/dev/null is a terminal (%v)", err)
	}
}

// openTerminal opens a terminal, and its other end.
func openTerminal(t *testing.T) (terminal, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, master
}
