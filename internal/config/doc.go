// Package config reads the file that describes a gateway: one YAML file, whose every fault is reported at once, each with its line.
//
// [Parse] reads the text into [Settings] and notes where each key stands. [Maker.Make] makes a gateway.Config of them, and says of each
// fault that the gateway finds which line it is about. [Example] is a file with every key, its default and what it means.
//
// A file holds no secrets, only the names of files that do. Even so no fault shows a value that could be one.
package config
