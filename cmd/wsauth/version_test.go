package main

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.0"}
	if got, want := describe(info), "wsauth (devel) go1.26.0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	info.Main.Version = "v1.2.3"
	info.Settings = []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc123"}}
	if got, want := describe(info), "wsauth v1.2.3 go1.26.0 abc123"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
