package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"wsauth/internal/inspect"
	"wsauth/internal/password"
)

// A userCmd manages a user file.
type userCmd struct {
	Hash   userHashCmd   `cmd:"" help:"Print a line for a user file, as name:hash."`
	Add    userAddCmd    `cmd:"" help:"Add a user, or change a password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user."`
	List   userListCmd   `cmd:"" help:"Print the names of the users."`
}

// Help returns the text of "wsauth user --help".
func (userCmd) Help() string {
	return `The password is read twice from a terminal, or otherwise as one line of standard input. A running server that watches the file applies a change within a second; otherwise at "wsauth reload" and SIGHUP. It immediately logs out users who were removed or have a new password.`
}

type userHashCmd struct {
	Name string `arg:"" help:"The user's name."`
}

// Run prints the line.
func (c *userHashCmd) Run(ctx context.Context) error {
	user, err := newUser(ctx, c.Name)
	if err != nil {
		return err
	}
	fmt.Println(user.Name + ":" + user.Hash.Text())
	return nil
}

type userAddCmd struct {
	File string `arg:"" help:"The user file, created if necessary."`
	Name string `arg:"" help:"The user's name."`
}

// Run writes the file. It reads the file before asking for the password and
// again afterwards, because the user may take minutes to type it.
func (c *userAddCmd) Run(ctx context.Context) error {
	if _, err := usersOrNone(password.ReadFile(c.File)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(c.File)); err != nil {
		return fmt.Errorf("the folder of %s: %w", c.File, err)
	}
	user, err := newUser(ctx, c.Name)
	if err != nil {
		return err
	}
	stopsItself(ctx)
	done := "changed the password of %s in %s"
	err = password.UpdateFile(ctx, c.File, func(list *password.List, err error) ([]password.User, error) {
		users, err := usersOrNone(list, err)
		if err != nil {
			return nil, err
		}
		if at := indexOf(users, c.Name); at >= 0 {
			users[at] = user
			return users, nil
		}
		done = "added %s to %s"
		return append(users, user), nil
	})
	if err == nil {
		fmt.Printf(done+"; %s\n", inspect.Printable(c.Name), inspect.Printable(c.File), takesEffect)
	}
	return err
}

// takesEffect says when a running server applies a change of the user file.
const takesEffect = "a running server that watches this file applies the change within a second; for any other, run wsauth reload"

// usersOrNone returns the users of a file, or none if there is no file.
func usersOrNone(list *password.List, err error) ([]password.User, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return list.Users(), nil
}

type userRemoveCmd struct {
	File string `arg:"" help:"The user file."`
	Name string `arg:"" help:"The user's name."`
}

// Run writes the file.
func (c *userRemoveCmd) Run(ctx context.Context) error {
	stopsItself(ctx)
	before := 0
	err := password.UpdateFile(ctx, c.File, func(list *password.List, err error) ([]password.User, error) {
		if err != nil {
			return nil, err
		}
		users := list.Users()
		before = len(users)
		at := indexOf(users, c.Name)
		if at < 0 {
			return nil, fmt.Errorf("%s has no user %q", c.File, c.Name)
		}
		return slices.Delete(users, at, at+1), nil
	})
	if err != nil {
		return err
	}
	when := takesEffect
	if before == 1 { // this removes more than half of the users
		when = "a running server keeps the last user until you run wsauth reload --confirm"
	}
	fmt.Printf("removed %s from %s; %s\n", inspect.Printable(c.Name), inspect.Printable(c.File), when)
	return nil
}

type userListCmd struct {
	File string `arg:"" help:"The user file."`
}

// Run prints the names.
func (c *userListCmd) Run() error {
	list, err := password.ReadFile(c.File)
	if err != nil {
		return err
	}
	for _, u := range list.Users() {
		fmt.Println(u.Name)
	}
	return nil
}

func indexOf(users []password.User, name string) int {
	return slices.IndexFunc(users, func(u password.User) bool { return u.Name == name })
}

// newUser asks for a password and returns the user with its hash.
func newUser(ctx context.Context, name string) (password.User, error) {
	if err := password.CheckName(name); err != nil {
		return password.User{}, err
	}
	secret, err := askPassword(ctx)
	if err != nil {
		return password.User{}, err
	}
	hash, err := password.New(secret)
	return password.User{Name: name, Hash: hash}, err
}
