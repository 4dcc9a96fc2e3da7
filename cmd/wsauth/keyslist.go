package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/token/keyring"
)

type keysListCmd struct {
	keysIn
	JSON bool `help:"Print JSON, for programs."`
}

// A listedKey is a key in the output. Dates that are not set are empty.
type listedKey struct {
	Kid   string `json:"kid"`
	Alg   string `json:"alg"`
	State string `json:"state"`
	From  string `json:"not_before,omitempty"`
	Until string `json:"expires,omitempty"`
	File  string `json:"file"`
}

// Run prints the keys, newest first.
func (c *keysListCmd) Run() error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	entries, err := keyring.List(dir)
	if err != nil {
		return noKeys(dir, err)
	}
	list := make([]listedKey, len(entries))
	for i, e := range entries {
		list[i] = listedKey{Kid: e.Key.ID(), Alg: string(e.Key.Algorithm()), State: string(keyring.StateOf(entries, i, time.Now())), File: e.File}
		if !e.NotBefore.IsZero() {
			list[i].From = written(e.NotBefore)
		}
		if !e.Expires.IsZero() {
			list[i].Until = written(e.Expires)
		}
	}
	if c.JSON {
		return json.MarshalWrite(os.Stdout, list, jsontext.Multiline(true))
	}
	if len(list) == 0 {
		fmt.Fprintf(os.Stderr, "no keys in %s; generate one: wsauth keys generate --keys=%s\n", dir, dir)
		return nil
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tALG\tSTATE\tSIGNS FROM\tCOUNTS UNTIL\tFILE")
	for _, k := range list {
		fmt.Fprintf(table, "%q\t%s\t%s\t%s\t%s\t%q\n", k.Kid, k.Alg, k.State, orDash(k.From), orDash(k.Until), k.File)
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
