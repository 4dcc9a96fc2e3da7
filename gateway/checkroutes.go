package gateway

import (
	"errors"
	"fmt"
	"slices"

	"wsauth"
)

// checkRoutes checks the routes, one by one and beside each other, and fills what they leave out.
func (c *Config) checkRoutes() []error {
	var faults []error
	if err := checkPath(c.AuthPrefix); err != nil || c.AuthPrefix == "/" || c.AuthPrefix[len(c.AuthPrefix)-1] == '/' {
		faults = append(faults, fmt.Errorf("gateway: Config.AuthPrefix: %q is no path such as /auth", c.AuthPrefix))
	}
	if c.NoAuth && len(c.Routes) == 0 {
		faults = append(faults, errors.New("gateway: Config.NoAuth: needs Routes, else nothing is served"))
	}
	c.Routes = slices.Clone(c.Routes)
	seen := map[string]int{}
	for i, r := range c.Routes {
		filled, err := r.withDefaults()
		if err != nil {
			faults = append(faults, fmt.Errorf("gateway: Config.Routes[%d]: %w", i, err))
		}
		if first, twice := seen[r.name()]; twice {
			faults = append(faults, fmt.Errorf("gateway: Config.Routes[%d]: the same host and path as Routes[%d]", i, first))
		}
		seen[r.name()] = i
		for j, o := range r.Origins {
			if err := wsauth.CheckOrigin(o); err != nil {
				faults = append(faults, fmt.Errorf("gateway: Config.Routes[%d].Origins[%d]: %w", i, j, err))
			}
		}
		c.Routes[i] = filled
	}
	return faults
}
