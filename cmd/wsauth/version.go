package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

type versionCmd struct{}

// Run prints the version of the module and, if known, the commit.
func (versionCmd) Run() error {
	fmt.Println(version())
	return nil
}

// version returns the version for other outputs.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wsauth (unknown version)"
	}
	return describe(info)
}

// describe returns name, version, Go version and commit of a build in one
// line.
func describe(info *debug.BuildInfo) string {
	words := []string{"wsauth", cmp.Or(info.Main.Version, "(devel)"), info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			words = append(words, s.Value)
		}
	}
	return strings.Join(words, " ")
}
