package config

import _ "embed"

//go:embed example.yaml
var example string

// Example is a file with every key, its default, and what it means. What has no default is in it as a comment.
func Example() string { return example }
