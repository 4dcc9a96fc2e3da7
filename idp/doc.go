// Package idp accepts the tokens of identity providers: Keycloak, Auth0,
// Amazon Cognito, Okta, Microsoft Entra ID, Google, or any other that issues
// access tokens as signed JWTs and publishes its keys.
//
// A [Provider] describes one issuer: where its keys are, what its access
// tokens look like, and which audience they must have. Use its
// [Provider.Verifier] in wsauth.Config, alone or combined with others by
// token.NewVerifiers.
//
// Sessions that end at the provider also end here: [Handler] receives the
// logout tokens of OpenID Connect Back-Channel Logout 1.0 and the Security
// Event Tokens of the Shared Signals Framework, and revokes the sessions. This
// closes their open sockets.
package idp
