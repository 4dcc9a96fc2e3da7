package logintest

import "net/http"

const jsonType = "Content-Type: application/json"

// Login logs in the user test without cookies, and returns the tokens.
func (c *Client) Login() (access, refresh string) {
	c.T.Helper()
	return c.LoginAs("test")
}

// LoginAs logs in a user whose password is "test".
func (c *Client) LoginAs(name string, headers ...string) (access, refresh string) {
	c.T.Helper()
	return c.Renewed(c.Call("POST", "/auth/login", `{"username":"`+name+`","password":"test"}`, append(headers, jsonType)...))
}

// LoginCookies logs in the user test with cookies, and returns the CSRF values.
func (c *Client) LoginCookies() (access, refresh string) {
	c.T.Helper()
	v := c.success(c.Call("POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, jsonType))
	return v["csrf_token"].(string), v["refresh_csrf_token"].(string)
}

// Renewed returns the tokens in the answer to a login or a refresh.
func (c *Client) Renewed(a Answer) (access, refresh string) {
	c.T.Helper()
	v := c.success(a)
	refresh, _ = v["refresh_token"].(string)
	return v["access_token"].(string), refresh
}

// Ticket gets a ticket for the socket, as a page of the server would.
func (c *Client) Ticket(access string) string {
	c.T.Helper()
	a := c.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, "Authorization: Bearer "+access, "Origin: "+c.URL)
	return c.success(a)["ticket"].(string)
}

// Claims returns the claims of an access token.
func (c *Client) Claims(access string) map[string]any {
	c.T.Helper()
	return c.success(c.Call("GET", "/auth/session", "", "Authorization: Bearer "+access))
}

// success decodes an answer, which must be 200.
func (c *Client) success(a Answer) map[string]any {
	c.T.Helper()
	if a.StatusCode != http.StatusOK {
		c.T.Fatalf("%s %s: got %d %s, want %v", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.Text, http.StatusOK)
	}
	return a.Decode(c.T)
}
