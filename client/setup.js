// Checks before the first request. Impossible settings cause an error at once,
// not endless network failures.
import { canonicalPath } from "./path.js";

/**
 * Throws a TypeError that names the missing parts, if there are any.
 * @param {string} what needs them @param {Record<string, unknown>} parts
 */
export function needs(what, parts) {
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part !== "function") throw new TypeError(`${what} needs ${name}, which is not available here`);
  }
}

/**
 * Returns the URL of a socket: absolute, with a WebSocket scheme and the
 * canonical path, and without a fragment, which some browsers refuse.
 * @param {string|URL} url relative to the page
 */
export function socketURL(url) {
  const parsed = absolute("connect", url);
  parsed.protocol = parsed.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(parsed.protocol)) throw new TypeError(`connect needs a URL that begins with wss:, ws:, https: or http:, not "${parsed.protocol}"`);
  parsed.hash = "";
  parsed.pathname = canonicalPath(parsed.pathname);
  return parsed;
}

/**
 * Returns a copy of a URL with parameters in its query, replacing parameters of
 * the same names. The others keep their spelling: URLSearchParams would change
 * it, such as a space to "+".
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
 * Parses a URL. A relative one is resolved like the links of the page, with its
 * base element if it has one.
 * @param {string} what needs it @param {string|URL} url
 */
export function absolute(what, url) {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    throw new TypeError(`${what} needs an absolute URL outside of a page: "${url}" cannot be resolved`);
  }
}
