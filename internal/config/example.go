package config

import _ "embed"

//go:embed example.yaml
var example string

// Example returns a file with all keys, their defaults and explanations. Keys
// without a default are commented out.
func Example() string { return example }
