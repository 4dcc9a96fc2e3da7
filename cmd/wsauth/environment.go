package main

import (
	"os"
	"strings"
)

// dropEmpty takes our variables that are empty out of the environment: files of compose and units of systemd pass them on so where they
// have no value, and mean that there is none.
func dropEmpty() {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value == "" && strings.HasPrefix(name, "WSAUTH_") {
			_ = os.Unsetenv(name) // which fails for an empty name only
		}
	}
}
