package main

import (
	"os"
	"strings"
)

// dropEmpty removes our empty variables from the environment: Compose files
// and systemd units pass on variables without a value as empty ones.
func dropEmpty() {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); value == "" && strings.HasPrefix(name, "WSAUTH_") {
			_ = os.Unsetenv(name) // fails only for an empty name
		}
	}
}
