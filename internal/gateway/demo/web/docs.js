// Renders /openapi.json as forms that call the server. Supports only the parts
// of OpenAPI that the document uses.
import { $, element } from "./dom.js";
import { request, resolve } from "./operation.js";
import { converse } from "./trysocket.js";

/** Makes an element with a text. Parts in backquotes become code. */
function prose(name, text) {
  const e = element(name);
  text.split("`").forEach((part, i) => e.append(i % 2 ? element("code", "", part) : part));
  return e;
}

/** Makes a labeled field for a parameter. */
function parameterField(parameter) {
  const label = element("label");
  const input = element("input");
  input.name = parameter.name;
  input.dataset.in = parameter.in;
  input.value = parameter.example ?? "";
  input.required = parameter.required === true;
  input.autocomplete = "off";
  label.append(element("code", "", parameter.name), ` in the ${parameter.in}${parameter.required ? "" : ", optional"}`, prose("small", parameter.description), input);
  return label;
}

/** Formats the example as a body of the content type. */
function formatBody(type, example) {
  if (type === "application/x-www-form-urlencoded") return new URLSearchParams(example).toString();
  return typeof example === "string" ? example : JSON.stringify(example, null, 2);
}

/**
 * Makes a labeled field for a body of the content type, filled with the
 * document's example.
 */
function bodyField(type, example) {
  const label = element("label", "", "Body");
  const area = element("textarea");
  area.name = "body";
  area.dataset.type = type;
  area.spellcheck = false;
  area.value = formatBody(type, example);
  area.rows = area.value.split("\n").length;
  label.append(area);
  return label;
}

function answersTable(spec, operation) {
  const table = element("table", "answers");
  for (const [status, reference] of Object.entries(operation.responses)) {
    const row = table.insertRow();
    const head = element("th", "", status);
    head.scope = "row";
    row.append(head, prose("td", resolve(spec, reference).description));
  }
  return table;
}

/** Shows an answer, with buttons to use or copy the tokens in it. */
function showResult(place, status, good, headers, body) {
  const head = element("div", "result-head");
  head.append(element("b", good ? "" : "bad", status));
  const actions = element("div", "actions");
  for (const name of ["access_token", "refresh_token"]) {
    if (typeof body?.[name] !== "string") continue;
    const kind = name.replace("_token", "");
    const use = element("button", "", `Use ${kind} token`);
    use.addEventListener("click", () => {
      $("bearer").value = body[name];
    });
    actions.append(use);
    if (!navigator.clipboard) continue; // only pages loaded over HTTPS have one
    const copy = element("button", "", `Copy ${kind} token`);
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(body[name]);
      copy.textContent = "Copied";
    });
    actions.append(copy);
  }
  for (const button of actions.children) button.type = "button";
  head.append(actions);
  place.replaceChildren(head);
  if (headers) place.append(element("pre", "headers", headers));
  if (body !== "") place.append(element("pre", "", typeof body === "string" ? body : JSON.stringify(body, null, 2)));
  place.hidden = false;
}

async function send(form, operation, place) {
  const started = performance.now();
  try {
    const { response, body } = await request(form, operation, $("bearer").value.trim());
    const time = `${Math.round(performance.now() - started)} ms`;
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    showResult(place, `${response.status} ${response.statusText} · ${time}`, response.ok, headers, body);
    fillIn(body);
  } catch (error) {
    showResult(place, "No answer", false, "", error.message);
  }
}

/** Puts the CSRF values of an answer into the fields that need them. */
function fillIn(body) {
  for (const input of document.querySelectorAll("[data-csrf]")) {
    if (typeof body?.[input.dataset.csrf] === "string") input.value = body[input.dataset.csrf];
  }
}

function operationView(spec, path, method, operation) {
  const isSocket = operation["x-websocket"] === true;
  const details = element("details", "operation");
  details.id = operation.operationId;
  const summary = element("summary");
  const verb = isSocket ? "socket" : method;
  summary.append(element("span", `method ${verb}`, verb.toUpperCase()), element("span", "path", path), element("span", "summary", operation.summary));

  const body = element("div", "body");
  body.append(prose("p", operation.description));
  const form = element("form");
  form.dataset.path = path;
  form.dataset.method = method.toUpperCase();
  for (const reference of operation.parameters ?? []) {
    const parameter = resolve(spec, reference);
    const field = parameterField(parameter);
    if (parameter["x-from"]) field.querySelector("input").dataset.csrf = parameter["x-from"];
    form.append(field);
  }
  for (const [type, { example }] of Object.entries(operation.requestBody?.content ?? {})) form.append(bodyField(type, example));
  const button = element("button", "primary", isSocket ? "Open" : "Send");
  const place = element("div", "result");
  place.hidden = true;
  place.setAttribute("role", "status");
  form.append(button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isSocket) converse(form, place);
    else send(form, operation, place);
  });
  body.append(form, place, element("h3", "", "Answers"), answersTable(spec, operation));
  details.append(summary, body);
  return details;
}

function render(spec) {
  $("api-title").textContent = spec.info.title;
  $("api-description").replaceWith(prose("p", spec.info.description));
  $("api-version").textContent = `· version ${spec.info.version} · OpenAPI ${spec.openapi}`;
  const groups = new Map(spec.tags.map((tag) => {
    const group = element("section", "group");
    group.append(element("h2", "", tag.name), prose("p", tag.description));
    return [tag.name, group];
  }));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      groups.get(operation.tags[0]).append(operationView(spec, path, method, operation));
    }
  }
  $("operations").append(...groups.values());
  if (location.hash) $(location.hash.slice(1))?.setAttribute("open", "");
}

$("bearer-clear").addEventListener("click", () => {
  $("bearer").value = "";
  $("bearer").focus();
});
try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  render(await response.json());
} catch (error) {
  $("failure").textContent = `The document /openapi.json cannot be shown: ${error.message}.`;
  $("failure").hidden = false;
}
