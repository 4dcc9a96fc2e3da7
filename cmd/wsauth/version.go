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
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Println("wsauth (unknown version)")
		return nil
	}
	fmt.Println(describe(info))
	return nil
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
