// Helpers that all pages need. They insert text as text, never as markup.

/** Returns the element with the id. */
export const $ = (id) => document.getElementById(id);

/** Makes an element with a class and a text. */
export function element(name, className = "", text = "") {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.textContent = text;
  return e;
}

const maxEntries = 200; // in a list

/**
 * Appends item to list and removes the oldest entries. Scrolls to the end,
 * unless the user has scrolled away from it.
 */
export function append(list, item) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > maxEntries) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** Formats seconds: "4 s", "14:05", "29 d 23 h". */
export function duration(seconds) {
  const s = Math.max(0, Math.ceil(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
