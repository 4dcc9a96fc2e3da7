// Package config reads the configuration file of a gateway. It is a YAML file,
// and all faults in it are reported at once, each with its line.
//
// [Parse] parses the text into [Settings] and records the line of each key.
// [Maker.Make] builds a gateway.Config from them, and maps each fault that the
// gateway finds to a line. [Example] returns a file with all keys, their
// defaults and explanations.
//
// A file contains no secrets, only the names of files with secrets. Even so,
// faults never show a value that could be a secret.
package config
