package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"wsauth/internal/config"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/server"
	"wsauth/internal/sharedstore"
)

// A configCmd works on the file of "wsauth serve --config".
type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Validate a file, and print a summary or all errors."`
	Example configExampleCmd `cmd:"" help:"Print a file with all keys, their defaults and explanations."`
}

type configCheckCmd struct {
	File string `arg:"" env:"WSAUTH_CONFIG" help:"The file."`
}

// Run validates the file as a server does at startup, but ignores flags and the
// environment.
func (c *configCheckCmd) Run() error {
	d, err := config.Read(c.File)
	if err != nil {
		return err
	}
	maker := config.Maker{Files: true, DataDir: server.DefaultDataFolder()}
	described, err := maker.Make(d)
	if err != nil {
		return printErrors(c.File, err)
	}
	fmt.Printf("%s: ok\n", c.File)
	summarize(d, described)
	for _, w := range append(d.Warnings(), d.RouteWarnings(described)...) {
		fmt.Printf("  warning    %s\n", w)
	}
	return nil
}

// printErrors prints one error per line, and returns an error with their
// number.
func printErrors(file string, err error) error {
	all, ok := errors.AsType[config.Faults](err)
	if !ok || file == "" {
		return err
	}
	for _, f := range all {
		fmt.Fprintln(os.Stderr, f.Error())
	}
	if len(all) == 1 {
		return fmt.Errorf("%s: one error", file)
	}
	return fmt.Errorf("%s: %d errors", file, len(all))
}

// summarize prints what a file configures.
func summarize(d *config.Document, described gateway.Config) {
	s := d.Settings
	fmt.Printf("  listen     %s\n", s.Listen)
	switch {
	case s.Users != "":
		fmt.Printf("  users      %s\n", s.Users)
	case s.InsecureDemoUser || len(s.Routes) == 0:
		fmt.Println("  users      test, the user of the demonstration")
	default:
		fmt.Println("  users      none: no logins")
	}
	switch {
	case s.Store.URLFile != "":
		fmt.Printf("  store      as %s says, shared by several nodes\n", s.Store.URLFile)
	case s.Store.URL != "":
		fmt.Printf("  store      %s, shared by several nodes\n", sharedstore.Display(s.Store.URL))
	}
	for _, p := range s.Providers {
		fmt.Printf("  provider   %s %s\n", p.Preset, p.Issuer)
	}
	if len(s.Routes) == 0 {
		fmt.Println("  routes     none: the demonstration is served")
	}
	for i, r := range described.Routes {
		asks := s.Routes[i].Requirement
		if r.Public {
			asks = "public"
		}
		fmt.Printf("  route      %s%s: %s, to %s\n", r.Host, r.Path, asks, strings.Join(r.Upstreams, ", "))
	}
	for _, r := range proxy.Redirects(described.Routes) {
		fmt.Printf("  redirect   %s to %s, which is guarded: many servers treat the two as the same path\n", r.From, r.To)
	}
}

type configExampleCmd struct{}

// Run prints the example.
func (configExampleCmd) Run() error {
	_, err := fmt.Print(config.Example())
	return err
}
