package main

import (
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints the module's version, and the commit if the build knows it.
func (versionCmd) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Println("wsauth (unknown version)")
		return nil
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	fmt.Println("wsauth", version, info.GoVersion)
	return nil
}
