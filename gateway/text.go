package gateway

import "wsauth/internal/logtext"

// printable returns s shortened and without invisible characters, for a log.
func printable(s string) string { return logtext.Short(s) }

// visible returns s without invisible characters.
func visible(s string) string { return logtext.Visible(s) }
