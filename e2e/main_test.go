// Package e2e builds and runs the programs, and tests them with a real browser:
// only a browser shows what a page learns about a WebSocket.
package e2e

import (
	"log"
	"os"
	"testing"
	"time"
)

// patience bounds every wait of these tests: for a program, for the browser,
// for a condition of a page.
const patience = 15 * time.Second

// scratch holds the programs and the browser's profile.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "wsauth-e2e-"); err != nil {
		log.Fatal(err)
	}
	status := m.Run()
	stopBrowser()
	if err := os.RemoveAll(scratch); err != nil {
		log.Print(err)
	}
	os.Exit(status)
}
