// Package idp accepts the tokens of identity providers: of Keycloak, Auth0,
// Amazon Cognito, Okta, Microsoft Entra ID, Google, or any other that signs
// access tokens as JWTs and publishes its keys.
//
// A [Provider] knows one issuer: where its keys are, what its access tokens
// look like, and for whom they must be. Its [Provider.Verifier] goes into
// wsauth.Config, alone or joined with others by token.NewVerifiers.
//
// What a provider ends, ends here too: [Handler] takes the logout tokens of
// OpenID Connect Back-Channel Logout 1.0 and the Security Event Tokens of the
// Shared Signals Framework, and makes revocations of them, which end the
// sockets that are open.
package idp
