package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"wsauth/internal/inspect"
	"wsauth/internal/server"
)

// A dataCmd works on the data folder.
type dataCmd struct {
	Check dataCheckCmd `cmd:"" help:"Verify the store in the data folder, and print a summary."`
}

type dataCheckCmd struct {
	Data string `placeholder:"DIR" help:"Data folder of the server (default: $$WSAUTH_DATA, or wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	JSON bool   `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth data check --help".
func (dataCheckCmd) Help() string {
	return `Reads all of store.db without changing it, and verifies the checksum of each record and of all records together. A server does this when it starts, and locks the file while it runs: stop it first, or check a copy of the folder that was made while it was stopped. Exit status: 0 if no error was found, 1 if the store is damaged or cannot be read, 2 if a running server uses it.`
}

// statusInUse is the exit status if a server has locked the store. It tells
// scripts to stop the server first.
const statusInUse = 2

// A checkedStore is the JSON output of a check.
type checkedStore struct {
	File   string `json:"file"`
	State  string `json:"state"`
	Error  string `json:"error,omitempty"`
	Format int    `json:"format,omitzero"`
	Log    string `json:"log,omitempty"` // epoch of the log
	// Sequence number of the last revocation.
	Last uint64 `json:"last,omitzero"`
	// The key folder records a later or a different store, so revocations are
	// lost.
	Lost        bool  `json:"lost,omitzero"`
	Bytes       int64 `json:"bytes,omitzero"` // size of the file
	Records     int   `json:"records,omitzero"`
	Revocations int   `json:"revocations"`
	Sessions    int   `json:"sessions"`
	Tickets     int   `json:"tickets"`
}

// Run checks the store.
func (c *dataCheckCmd) Run(context.Context) error {
	dir, err := server.DataFolder(c.Data)
	if err != nil {
		return err
	}
	check, err := server.CheckStore(dir)
	if check.State == server.StoreUnknown {
		return err
	}
	if check.State == server.StoreInUse {
		err = exit{err, statusInUse}
	}
	r := check.Report
	s := checkedStore{
		File: check.File, State: string(check.State), Error: check.Fault, Format: r.Format, Log: r.Next.Epoch, Last: r.Next.Sequence, Lost: check.Lost,
		Bytes: r.Size, Records: r.Records, Revocations: r.Revocations, Sessions: r.Sessions, Tickets: r.Tickets,
	}
	if c.JSON {
		return errors.Join(printJSON(os.Stdout, s), err)
	}
	if err == nil {
		s.print()
	}
	return err
}

// print prints the result as text.
func (s *checkedStore) print() {
	fmt.Printf("%s: ok\n", inspect.Printable(s.File))
	checksums := "each with its checksum"
	if s.Format == 1 {
		checksums = "without checksums; the next start of the server adds them"
	}
	fmt.Printf("  format       %d\n", s.Format)
	fmt.Printf("  records      %d, %s\n", s.Records, checksums)
	fmt.Printf("  log          %s, up to entry %d\n", inspect.Printable(s.Log), s.Last)
	fmt.Printf("  revocations  %d\n", s.Revocations)
	fmt.Printf("  sessions     %d\n", s.Sessions)
	fmt.Printf("  tickets      %d\n", s.Tickets)
	if s.Lost {
		fmt.Println("  warning      the key folder records a later or a different store: at its next start, the server revokes all tokens and sessions that exist by then")
	}
}
