package gateway

import "wsauth/internal/logtext"

// printable returns s as a log shows it: cut, and without invisible
// characters.
func printable(s string) string { return logtext.Short(s) }

// visible returns s without invisible characters.
func visible(s string) string { return logtext.Visible(s) }
