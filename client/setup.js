// Checks before the first request: what cannot work is an error at once, not a
// network that fails for ever.
import { canonicalPath } from "./path.js";

/**
 * Throws a TypeError that names what is missing, unless each part is there.
 * @param {string} what needs them @param {Record<string, unknown>} parts
 */
export function needs(what, parts) {
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part !== "function") throw new TypeError(`${what} needs ${name}, which is missing here`);
  }
}

/**
 * Returns the address of a socket: absolute, of a scheme of WebSockets, with
 * the canonical path, and without a fragment, which some browsers refuse.
 * @param {string|URL} url relative to the page
 */
export function socketURL(url) {
  const parsed = absolute("connect", url);
  parsed.protocol = parsed.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(parsed.protocol)) throw new TypeError(`connect needs an address that begins with wss:, ws:, https: or http:, not "${parsed.protocol}"`);
  parsed.hash = "";
  parsed.pathname = canonicalPath(parsed.pathname);
  return parsed;
}

/**
 * Parses an address. One that is relative needs a page.
 * @param {string} what needs it @param {string|URL} url
 */
export function absolute(what, url) {
  try {
    return new URL(url, globalThis.location?.href);
  } catch {
    throw new TypeError(`${what} needs a whole address outside of a page: "${url}" cannot be resolved`);
  }
}
