// Shows /openapi.json as forms that call the server. It supports only the
// parts of OpenAPI that the documents of these examples use, and inserts text
// as text, never as markup.

const $ = (id) => document.getElementById(id);

/** Makes an element with children, which are elements or strings. */
function element(name, ...children) {
  const e = document.createElement(name);
  e.append(...children);
  return e;
}

/** Makes an element with text. Parts between backquotes become code. */
function prose(name, text) {
  return element(name, ...text.split("`").map((part, i) => (i % 2 ? element("code", part) : part)));
}

/** Makes a labeled field for a parameter. */
function parameterField(parameter) {
  const input = element("input");
  input.name = parameter.name;
  input.value = parameter.example ?? "";
  input.autocomplete = "off";
  input.dataset.in = parameter.in;
  input.dataset.from = parameter["x-from"] ?? "";
  return element("label", element("code", parameter.name), " ", prose("small", parameter.description), input);
}

/** Makes a labeled field for a JSON body, filled with the example. */
function bodyField({ example }) {
  const area = element("textarea");
  area.name = "body";
  area.value = JSON.stringify(example, null, 2);
  area.rows = area.value.split("\n").length;
  return element("label", "Body", area);
}

/** Returns the URL of the path, with the parameters of the form. */
function address(form, path) {
  const url = new URL(path, location.href);
  for (const { name, value, dataset } of form.elements) {
    if (dataset.in === "query") url.searchParams.set(name, value);
    if (dataset.in === "path") url.pathname = path.replace(`{${name}}`, encodeURIComponent(value));
  }
  return url;
}

/**
 * Sends the request of the form, and shows the response. Then it copies members
 * of the response into the fields, of all forms, whose x-from names them.
 */
async function send(form, path, method, result) {
  const init = { method, cache: "no-store" };
  if (form.elements.body) {
    init.body = form.elements.body.value;
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await fetch(address(form, path), init);
  const text = await response.text();
  result.textContent = `${response.status} ${response.statusText}\n`;
  if (!response.headers.get("Content-Type")?.includes("json")) {
    result.append(text);
    return;
  }
  const body = JSON.parse(text);
  result.append(JSON.stringify(body, null, 2));
  for (const input of document.querySelectorAll("input")) input.value = body[input.dataset.from] ?? input.value;
}

/** Opens the socket of the form, and shows its messages and its end. */
function openSocket(form, path, result) {
  const url = address(form, path);
  url.protocol = url.protocol.replace("http", "ws");
  result.textContent = "";
  const socket = new WebSocket(url);
  socket.addEventListener("message", (event) => result.append(`${event.data}\n`));
  socket.addEventListener("close", (event) => result.append(`closed: ${event.code} ${event.reason}`));
}

/** Makes the form of an operation. */
function view(path, method, operation) {
  const isSocket = operation["x-websocket"] === true;
  const form = element("form", ...(operation.parameters ?? []).map(parameterField));
  if (operation.requestBody) form.append(bodyField(operation.requestBody.content["application/json"]));
  form.append(element("button", isSocket ? "Open" : "Send"));
  const result = element("pre");
  result.setAttribute("role", "status");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      if (isSocket) openSocket(form, path, result);
      else await send(form, path, method.toUpperCase(), result);
    } catch (error) {
      result.textContent = error.message;
    }
  });
  const summary = element("summary", element("b", isSocket ? "SOCKET" : method.toUpperCase()), element("code", path), operation.summary);
  const details = element("details", summary, prose("p", operation.description), form, result);
  details.id = operation.operationId;
  return details;
}

const response = await fetch("/openapi.json");
const api = await response.json();
document.title = $("title").textContent = api.info.title;
$("description").replaceWith(prose("p", api.info.description));
for (const tag of api.tags) {
  $("operations").append(element("h2", tag.name), prose("p", tag.description));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (operation.tags[0] === tag.name) $("operations").append(view(path, method, operation));
    }
  }
}
