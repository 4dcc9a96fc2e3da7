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

// A userCmd manages a file of users.
type userCmd struct {
	Hash   userHashCmd   `cmd:"" help:"Print a line for a file of users, as name:hash."`
	Add    userAddCmd    `cmd:"" help:"Add a user, or give one another password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user."`
	List   userListCmd   `cmd:"" help:"Print the names of the users."`
}

// Help is the text under "wsauth user --help".
func (userCmd) Help() string {
	return `The password is asked for twice on a terminal, and is one line of standard input otherwise. A running server takes a change within a second, unless it does not watch the file: then it does at "wsauth reload" and SIGHUP. It logs out at once who was removed or has another password.`
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
	File string `arg:"" help:"The file of users, made if it is not there."`
	Name string `arg:"" help:"The user's name."`
}

// Run writes the file. It looks at it before it asks for the password, and again when it has it, since that may take minutes.
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
	done := "has another password in"
	err = password.UpdateFile(ctx, c.File, func(list *password.List, err error) ([]password.User, error) {
		users, err := usersOrNone(list, err)
		if err != nil {
			return nil, err
		}
		if at := indexOf(users, c.Name); at >= 0 {
			users[at] = user
			return users, nil
		}
		done = "is added to"
		return append(users, user), nil
	})
	if err == nil {
		fmt.Printf("%s %s %s; %s\n", inspect.Printable(c.Name), done, inspect.Printable(c.File), takesEffect)
	}
	return err
}

// takesEffect says when a change of the file of users counts.
const takesEffect = "takes effect within a second on a running server that watches this file; otherwise run wsauth reload"

// usersOrNone are the users of a file that was read, or none where there is no file.
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
	File string `arg:"" help:"The file of users."`
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
	if before == 1 { // more than half of the users
		when = "a running server waits with the last user: run wsauth reload --confirm"
	}
	fmt.Printf("%s is removed from %s; %s\n", inspect.Printable(c.Name), inspect.Printable(c.File), when)
	return nil
}

type userListCmd struct {
	File string `arg:"" help:"The file of users."`
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

// newUser asks for a password.
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
