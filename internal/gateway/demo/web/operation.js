/**
 * Resolves a reference inside the document, such as
 * {"$ref": "#/components/parameters/X"}.
 */
export function resolve(spec, value) {
  if (typeof value.$ref !== "string") return value;
  return value.$ref.slice(2).split("/").reduce((at, name) => at[name], spec);
}

/** Reports whether an operation accepts a bearer token. */
function takesBearer(operation) {
  return operation.security?.some((way) => "bearer" in way) ?? false;
}

/**
 * Sends the request of an operation's form.
 * @param {HTMLFormElement} form with data-path, data-method, and a field for
 *   each parameter and the body
 * @param {object} operation from the document; if it accepts a bearer token
 *   and there is one, no cookies are sent
 * @param {string} bearer the token, or ""
 */
export async function request(form, operation, bearer) {
  const url = new URL(form.dataset.path, location.href);
  const headers = new Headers();
  const init = { method: form.dataset.method, headers, cache: "no-store" };
  for (const field of form.elements) {
    if (field.dataset.in === "query" && field.value) url.searchParams.set(field.name, field.value);
    if (field.dataset.in === "header" && field.value) headers.set(field.name, field.value);
    if (field.dataset.in === "path") url.pathname = url.pathname.replace(encodeURI(`{${field.name}}`), encodeURIComponent(field.value));
    if (field.name === "body") {
      init.body = field.value;
      headers.set("Content-Type", field.dataset.type);
    }
  }
  if (bearer && takesBearer(operation)) {
    headers.set("Authorization", `Bearer ${bearer}`);
    init.credentials = "omit"; // a cookie would be a second credential
  }
  const response = await fetch(url, init);
  return { response, body: parseBody(await response.text(), response.headers.get("Content-Type") ?? "") };
}

/** Returns the body as an object if it is JSON, otherwise as text. */
function parseBody(text, type) {
  if (!/json/.test(type)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
