package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// flagKinds parse flags that take durations or numbers. Their errors show the
// right form.
var flagKinds = []kong.Option{
	kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(c *kong.DecodeContext, target reflect.Value) error {
		return decodeFlag(c, func(text string) error {
			d, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("%q must be a duration such as 500ms, 30s, 15m or 720h", text)
			}
			target.SetInt(int64(d))
			return nil
		})
	})),
	kong.KindMapper(reflect.Int, kong.MapperFunc(decodeNumber)),
	kong.KindMapper(reflect.Int64, kong.MapperFunc(decodeNumber)),
}

func decodeNumber(c *kong.DecodeContext, target reflect.Value) error {
	return decodeFlag(c, func(text string) error {
		n, err := strconv.ParseInt(text, 10, target.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q must be a whole number such as 100", text)
		}
		target.SetInt(n)
		return nil
	})
}

// decodeFlag passes the next value on the command line to set.
func decodeFlag(c *kong.DecodeContext, set func(text string) error) error {
	value, err := c.Scan.PopValue("value")
	if err != nil {
		return err
	}
	return set(value.String())
}

var (
	missingValue = regexp.MustCompile(`expected \w+ value but got "EOL" \(<EOL>\)`)
	valueOfEnv   = regexp.MustCompile(`(?s) \(from envar ([A-Z0-9_]+)=.*\)$`)
)

// usageError removes the name of the command from an error of the command
// line, and the value of an environment variable, which may be secret.
func usageError(err error) error {
	text := valueOfEnv.ReplaceAllString(err.Error(), " (from the environment variable $1)")
	text = missingValue.ReplaceAllString(text, "the value is missing; write it after an equals sign")
	var parsed *kong.ParseError
	if !errors.As(err, &parsed) {
		return errors.New(text)
	}
	if command := parsed.Context.Selected(); command != nil {
		text = strings.TrimPrefix(text, command.Path()+": ")
	}
	return exit{errors.New(text), parsed.ExitCode()}
}

// An exit is an error with an exit status.
type exit struct {
	error
	status int
}

// ExitCode returns the exit status; kong calls it.
func (e exit) ExitCode() int { return e.status }

// Unwrap returns the error.
func (e exit) Unwrap() error { return e.error }
