// Explains to users why a socket ended, and what a client should do next. The
// reason, a stable identifier, is more specific than the code, so it is looked
// up first. The codes are those of RFC 6455 section 7.4.1 and IANA's registry.

/**
 * @typedef {object} Explanation
 * @property {string} title
 * @property {string} meaning
 * @property {string} advice what to do next
 * @property {("refresh"|"login"|"reconnect")[]} actions the buttons to show
 * @property {boolean} [calm] nothing went wrong
 */

const asYouAre = "Do not reconnect as you are: the answer would be the same.";
const randomWait = "Reconnect after a random wait, so that not all clients come back in the same moment.";

/** @type {Record<string, Explanation>} */
const reasons = {
  token_missing: {
    title: "No token came with the handshake",
    meaning: "The server has nothing to tell who you are by.",
    advice: "Log in, then reconnect with the token.",
    actions: ["login"],
  },
  token_invalid: {
    title: "The token is not genuine",
    meaning: "Its form or its signature is wrong, so nothing that it says is believed.",
    advice: "Refresh or log in to get a good one, then reconnect.",
    actions: ["refresh", "login"],
  },
  token_expired: {
    title: "The token’s time is up",
    meaning: "The socket had its right to be open from this token, and ended with it.",
    advice: "Refresh, or log in again, then reconnect with the new access token.",
    actions: ["refresh", "login"],
  },
  token_revoked: {
    title: "The token has been revoked",
    meaning: "It was good, but the server takes it no longer.",
    advice: "Refresh, or log in again, then reconnect.",
    actions: ["refresh", "login"],
  },
  session_ended: {
    title: "The session has ended",
    meaning: "Someone logged this session out: here, in another window, or on another device. Its sockets closed in that moment.",
    advice: "Log in again, then reconnect.",
    actions: ["login"],
  },
  origin_not_allowed: {
    title: "This site may not open the socket",
    meaning: "The page comes from an origin that is not on the server’s list.",
    advice: asYouAre + " The server’s list of origins has to name this site.",
    actions: [],
  },
  csrf_mismatch: {
    title: "The CSRF value is missing or wrong",
    meaning: "The cookie came by itself, as cookies do. Without the matching value the server cannot know that this page sent it.",
    advice: asYouAre + " Send the value that belongs to the cookie.",
    actions: [],
  },
  wrong_token_type: {
    title: "That is another kind of token",
    meaning: "A refresh token fetches new access tokens and opens nothing else; here an access token is required.",
    advice: asYouAre + " Send the access token.",
    actions: [],
  },
  fresh_token_required: {
    title: "A fresh token is required",
    meaning: "Only a token that came straight from the password opens this socket, not one from a refresh.",
    advice: asYouAre + " Log in with the password.",
    actions: ["login"],
  },
  sockets_not_allowed: {
    title: "There are no sockets here",
    meaning: "The address is public, and its route does not allow sockets.",
    advice: asYouAre + " Use the address of the guarded socket, or set sockets: true at the route.",
    actions: [],
  },
  connection_limit: {
    title: "Another window took its place",
    meaning: "You may have so many sockets and no more, and a newer one was opened.",
    advice: asYouAre + " Close another one first.",
    actions: ["reconnect"],
  },
  auth_timeout: {
    title: "No token came in time",
    meaning: "The socket was open to wait for a first message with the token, and there was none.",
    advice: "Reconnect, and send it at once.",
    actions: ["reconnect"],
  },
  idle_timeout: {
    title: "Nothing was sent for too long",
    meaning: "The gateway closed a socket on which all was silent, or whose client did not answer.",
    advice: "Reconnect.",
    actions: ["reconnect"],
  },
  not_authorized: {
    title: "You may not open this socket",
    meaning: "The server knows who you are, and its rules say no.",
    advice: asYouAre,
    actions: [],
  },
  invalid_request: {
    title: "The handshake is not clear",
    meaning: "It carries more than one credential, or one in a form that has more than one reading.",
    advice: asYouAre + " Send one credential, in one place, once.",
    actions: [],
  },
};

/** @type {Record<number, Explanation>} */
const codes = {
  1000: {
    title: "Closed as agreed",
    meaning: "One side said that it was done, and the other agreed.",
    advice: "Nothing. Open it again whenever you like.",
    actions: ["reconnect"],
    calm: true,
  },
  1001: {
    title: "The other side is going away",
    meaning: "The server is stopping.",
    advice: randomWait,
    actions: ["reconnect"],
    calm: true,
  },
  1006: {
    title: "The connection broke",
    meaning: "No close frame came: the network failed, or the server is gone.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1009: {
    title: "The message was too big",
    meaning: "The server reads messages of up to 32 KiB.",
    advice: "Send less at once.",
    actions: ["reconnect"],
  },
  1011: {
    title: "The server failed",
    meaning: "Something went wrong that is not your doing.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1012: {
    title: "The server is restarting",
    meaning: "Your right to be connected has not changed.",
    advice: randomWait,
    actions: ["reconnect"],
    calm: true,
  },
  1013: {
    title: "Not now",
    meaning: "The server is too busy, or cannot reach what it needs to decide.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  1014: {
    title: "The server behind does not answer",
    meaning: "The gateway let you in, but what it stands in front of is down, broke off, or takes too long.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  3000: {
    title: "No valid credential",
    meaning: "The server does not know who you are.",
    advice: "Refresh or log in, then reconnect.",
    actions: ["refresh", "login"],
  },
  3003: {
    title: "Not allowed",
    meaning: "The server knows enough to say no.",
    advice: asYouAre,
    actions: [],
  },
  3008: {
    title: "Too slow",
    meaning: "The server waited for something that did not come.",
    advice: "Reconnect.",
    actions: ["reconnect"],
  },
};

/**
 * Meanings of reasons that are more specific than the meaning of their code.
 * Title and advice are those of the code.
 * @type {Record<string, string>}
 */
const meanings = {
  message_too_big: "You sent more than the server reads of somebody whom it does not know yet.",
  internal_error: "Something in the server went wrong. It is not your doing, and the server’s log says more.",
  bad_gateway: "The gateway let you in, but the server behind it cannot be reached, broke off, or answers what is no WebSocket.",
  gateway_timeout: "The gateway let you in, but the server behind it did not answer in time.",
  restarting: "This server stops. Another one takes over, or it will be back. Your right to be connected has not changed.",
  rate_limited: "Too many handshakes, renewals or open sockets are yours, or your address’s.",
  overloaded: "The server has as many connections as it may have, or as many of yours.",
  store_unavailable: "The server cannot find out whether you may, so it lets nobody in for now.",
  invalid_handshake: "What was sent is not a handshake that a WebSocket can begin with.",
  method_not_allowed: "A WebSocket begins with GET, and another method was used.",
  version_not_supported: "The server speaks version 13 of the WebSocket protocol only.",
};

/**
 * Reasons that the client of this page sets itself, with code 1006 (broken
 * connection).
 * @type {Record<string, Explanation>}
 */
const ownReasons = {
  unreachable: {
    title: "The server cannot be reached",
    meaning: "It did not answer the request for a ticket.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  no_welcome: {
    title: "The server says nothing",
    meaning: "It accepted the socket, and no welcome came.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  no_answer: {
    title: "The connection is dead",
    meaning: "The login was renewed, and the socket did not hear of it.",
    advice: randomWait,
    actions: ["reconnect"],
  },
  slept: {
    title: "This computer was asleep",
    meaning: "The socket’s time ran out meanwhile.",
    advice: "Refresh, then reconnect.",
    actions: ["refresh"],
  },
  other_user: {
    title: "Someone else has logged in",
    meaning: "Another window of this browser has a login of another user now, and this one does not join it.",
    advice: "Load the page again.",
    actions: [],
  },
};

/** @type {Explanation} */
const neverOpened = {
  title: "The handshake failed",
  meaning: "The server is not there, or it refused the upgrade with an HTTP answer, which browsers do not show to a page.",
  advice: "If the server runs, its log has the reason. Behind a proxy that ends TLS it must be told the origin of this page (--origin); until then reconnecting changes nothing.",
  actions: ["reconnect"],
};

/**
 * For a socket that the page has closed itself, because its session ended.
 * @type {Explanation}
 */
export const loginOver = {
  title: "The login is over",
  meaning: "This page had the socket by that login, so it has closed it.",
  advice: "Log in, then open it again.",
  actions: ["login"],
};

/**
 * Explains a close event.
 * @param {number} code
 * @param {string} reason
 * @param {boolean} opened whether the socket was open before
 * @returns {Explanation}
 */
export function explain(code, reason, opened) {
  if (Object.hasOwn(ownReasons, reason)) return ownReasons[reason];
  if (code === 1006 && !opened) return neverOpened;
  if (code >= 3000 && Object.hasOwn(reasons, reason)) return reasons[reason];
  const known = codes[code];
  if (known && Object.hasOwn(meanings, reason)) return { ...known, meaning: meanings[reason] };
  return known ?? {
    title: "The socket was closed",
    meaning: "This page knows no more about this code.",
    advice: "Reconnect after a wait.",
    actions: ["reconnect"],
  };
}
