// Package e2e builds and runs the programs, and tests them in a real browser.
// Only a browser shows how much a page learns about its WebSockets.
package e2e

import (
	"log"
	"os"
	"testing"
	"time"
)

// patience is the longest wait for a program, for the browser or for a
// condition of a page.
const patience = 15 * time.Second

// scratch is the folder of the built programs and the browser's profile.
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
