package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

type versionCmd struct{}

// Run prints the module's version, and the commit where the build knows it.
func (versionCmd) Run() error {
	fmt.Println(version())
	return nil
}

// version is the same for others to tell.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wsauth (unknown version)"
	}
	return describe(info)
}

// describe is one line on a build: name, version, Go's version, commit.
func describe(info *debug.BuildInfo) string {
	words := []string{"wsauth", cmp.Or(info.Main.Version, "(devel)"), info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			words = append(words, s.Value)
		}
	}
	return strings.Join(words, " ")
}
