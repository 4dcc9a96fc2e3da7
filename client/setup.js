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
 * Returns a copy of an address with parameters in its query, which take the
 * place of any of these names. The others stay as they are written:
 * URLSearchParams would spell them in its own way, such as a space as "+".
 * @param {URL} url @param {Record<string, string>} query
 */
export function withQuery(url, query) {
  const isOther = (/** @type {string} */ part) => ![...new URLSearchParams(part).keys()].some((name) => Object.hasOwn(query, name));
  const parts = url.search === "" ? [] : url.search.slice(1).split("&").filter(isOther);
  for (const [name, value] of Object.entries(query)) parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  const copy = new URL(url);
  copy.search = parts.join("&");
  return copy;
}

/**
 * Parses an address. One that is relative is resolved as the page resolves its
 * links, with its base element if it has one.
 * @param {string} what needs it @param {string|URL} url
 */
export function absolute(what, url) {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    throw new TypeError(`${what} needs a whole address outside of a page: "${url}" cannot be resolved`);
  }
}
