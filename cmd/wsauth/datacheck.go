package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wsauth/internal/inspect"
	"wsauth/store"
	"wsauth/store/bolt"
)

// A dataCmd is about the data folder.
type dataCmd struct {
	Check dataCheckCmd `cmd:"" help:"Verify the store of the data folder, and print what it holds."`
}

type dataCheckCmd struct {
	Data string `placeholder:"DIR" help:"Data folder of the server (default: $$WSAUTH_DATA, or wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	JSON bool   `help:"Print JSON, for programs."`
}

// Help is the text under "wsauth data check --help".
func (dataCheckCmd) Help() string {
	return `Reads all of store.db, changes nothing, and looks at the checksum of each record and of all of them together. A running server has done that at its start, and holds the lock on the file: stop it first, or check a copy of the folder that was made while it was stopped. Exit status: 0 no fault was found, 1 the store is damaged or cannot be read, 2 a running server uses it.`
}

// What a check comes to.
const (
	storeOK      = "ok"
	storeDamaged = "damaged"
	storeInUse   = "in_use"
)

// statusInUse says, as an exit status, that a server uses the store.
const statusInUse = 2

// A checkedStore is what the check of a store prints as JSON.
type checkedStore struct {
	File        string `json:"file"`
	State       string `json:"state"`
	Fault       string `json:"fault,omitempty"`
	Format      int    `json:"format,omitzero"`
	Log         string `json:"log,omitempty"`  // its epoch
	Last        uint64 `json:"last,omitzero"`  // the sequence of the last revocation
	Lost        bool   `json:"lost,omitzero"`  // the folder of the keys remembers more
	Bytes       int64  `json:"bytes,omitzero"` // the length of the file
	Records     int    `json:"records,omitzero"`
	Revocations int    `json:"revocations"`
	Sessions    int    `json:"sessions"`
	Tickets     int    `json:"tickets"`
}

// Run checks the store.
func (c *dataCheckCmd) Run(context.Context) error {
	dir, err := folder(c.Data)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, storeName)
	r, err := bolt.Check(path)
	s := checkedStore{
		File: path, State: storeOK, Format: r.Format, Log: r.Next.Epoch, Last: r.Next.Sequence, Bytes: r.Size,
		Records: r.Records, Revocations: r.Revocations, Sessions: r.Families, Tickets: r.Tickets,
	}
	damage, damaged := errors.AsType[*bolt.DamageError](err)
	switch {
	case errors.Is(err, bolt.ErrLocked):
		s.State, s.Fault = storeInUse, "a running server uses it, and has checked it at its start"
		err = exit{fmt.Errorf("%s: %s; stop it to check the file again", path, s.Fault), statusInUse}
	case damaged:
		s.State, s.Fault = storeDamaged, damage.What
		err = fmt.Errorf("%s is damaged (%s): %s", path, s.Fault, cure(newMemory(keyFolder("", dir), dir), false))
	case err != nil:
		return err
	default:
		s.Lost = lostBy(newMemory(keyFolder("", dir), dir), r)
	}
	if c.JSON {
		return errors.Join(printJSON(os.Stdout, s), err)
	}
	if err == nil {
		s.print()
	}
	return err
}

// print prints what people look for.
func (s *checkedStore) print() {
	fmt.Printf("%s: ok\n", inspect.Printable(s.File))
	checksums := "each with its checksum"
	if s.Format == 1 {
		checksums = "without checksums, which the next start of the server adds"
	}
	fmt.Printf("  format       %d\n", s.Format)
	fmt.Printf("  records      %d, %s\n", s.Records, checksums)
	fmt.Printf("  log          %s, up to %d\n", inspect.Printable(s.Log), s.Last)
	fmt.Printf("  revocations  %d\n", s.Revocations)
	fmt.Printf("  sessions     %d\n", s.Sessions)
	fmt.Printf("  tickets      %d\n", s.Tickets)
	if s.Lost {
		fmt.Println("  warning      the folder of the keys remembers a later store, or another one: the next start of the server revokes all that began until then")
	}
}

// lostBy reports whether more is remembered than the store has, so that
// [remembered.checkLost] will find revocations lost.
func lostBy(m memory, r bolt.Report) bool {
	lost, err := m.isLost(func(place store.Cursor) (bool, error) {
		return place.Epoch == r.Next.Epoch && place.Sequence <= r.Next.Sequence, nil
	})
	return lost && err == nil
}
