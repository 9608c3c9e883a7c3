// Elements that several pages use. All text is inserted as text, never as HTML, because names and paths may contain anything.

import { get } from "./api.js";
import { number, t, tn, tp } from "./text.js";
import { update } from "./update.js";

export const app = { refresh: () => {}, act: async () => {}, go: () => {}, state: {} };

/** An element with attributes (on* are listeners) and children (strings become text). `key` identifies it again after an update. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.listeners = Object.keys(attributes).filter((name) => name.startsWith("on"));
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else if (name === "key") made.dataset.key = value;
    else if (name === "value" || name === "checked" || name === "disabled") made[name] = value;
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Texts with a number that several pages use. */
export const counted = {
  faces: (n) => tn("%(n)s face", "%(n)s faces", n),
  people: (n) => tn("%(n)s person", "%(n)s people", n),
  photos: (n) => tn("%(n)s photo", "%(n)s photos", n),
};
export const likely = (p) => (p >= 0.95 ? t("almost surely") : p >= 0.8 ? t("very probably") : p >= 0.5 ? t("probably") : t("perhaps"));
export const label = (person) => person.name || t("Unnamed %(id)s", { id: person.id });

export function crop(face, size = 112) {
  return el("img", {
    class: "crop", src: `/crop/${encodeURIComponent(face)}`, alt: "", width: size, height: size, loading: "lazy", decoding: "async", draggable: "false",
    onerror: (event) => event.target.classList.add("none"),
  });
}

/** An input for a name: Enter (which goes on to the next card) or leaving the field saves it, Escape restores the old name. `named` is called when it is saved. */
export function nameField(person, key, named = () => {}) {
  const save = ({ target }) => {
    const name = target.value.trim();
    if (app.updating || name === target.dataset.saved) return; // a field that leaves the page says nothing
    target.dataset.saved = name;
    app.act({ act: "name", person: person.id, name }, name ? t("Named %(name)s", { name }) : t("Name removed")).then((done) => done && name && named(person.id, name));
  };
  return el("input", {
    type: "text", value: person.name, placeholder: t("Name"), "aria-label": t("Name of %(person)s", { person: label(person) }), autocomplete: "off", maxlength: 200, list: "known", key, "data-saved": person.name,
    onchange: save,
    onkeydown: (event) => {
      if (event.key === "Enter") {
        save(event);
        nextField(event.target);
      }
      if (event.key === "Escape") event.target.value = event.target.dataset.saved;
    },
    oninput: suggest,
  });
}

/** After a name: on to that of the next card. */
function nextField(field) {
  const fields = [...document.querySelectorAll(".card input[type=text]")];
  const next = fields[fields.indexOf(field) + 1];
  if (fields.includes(field) && next) next.select();
}

/** Put a mark on the photo: its box is in shares of the picture. Not an attribute: the page's policy refuses styles there. */
export function place(mark) {
  const sides = mark.dataset.box.split(" ");
  ["left", "top", "width", "height"].forEach((side, i) => { mark.style[side] = `${sides[i] * 100}%`; });
}

let ticked = ""; // the item that was ticked last

/** A box to select an item of a list (its ids); with the shift key all from the one that was ticked last. `set(id, checked)` keeps them. */
export function tick(ids, id, checked, name, set) {
  const click = (event) => {
    const [from, to] = [ids.indexOf(ticked), ids.indexOf(id)];
    const some = event.shiftKey && from >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    ticked = id;
    for (const one of some) {
      const box = document.querySelector(`[data-key="tick-${one}"]`);
      if (box) box.checked = event.target.checked;
      set(one, event.target.checked);
    }
  };
  return el("input", { type: "checkbox", checked, "aria-label": name, key: `tick-${id}`, onclick: click });
}

/** Tick or untick the item that has the focus, or that the mouse is on; returns whether there is one. */
export function tickOne() {
  const item = document.activeElement.closest("#main [data-id]") || document.querySelector("#main li[data-id]:hover");
  const box = item?.querySelector('[data-key^="tick-"]');
  box?.click();
  return Boolean(box);
}

/** A question in front of the page: faces, a text, and answers [value, text]. Gives the value of the one that was chosen; null for none (Escape, another page). The answer with null has the focus. */
export function ask(title, text, faces, answers) {
  return new Promise((done) => {
    const button = ([value, words]) => el("button", { type: "button", key: `answer-${value ?? "none"}`, autofocus: value === null, onclick: () => { chosen = value; dialog.close(); } }, words);
    let chosen = null;
    const leave = () => dialog.close();
    const dialog = el(
      "dialog", { "aria-labelledby": "asked", onclose: () => { window.removeEventListener("hashchange", leave); dialog.remove(); done(chosen); } },
      el("h2", { id: "asked" }, title), el("div", { class: "row" }, ...faces.map((face) => crop(face))), el("p", {}, text), el("div", { class: "answers" }, ...answers.map(button)),
    );
    document.body.append(dialog);
    window.addEventListener("hashchange", leave);
    dialog.showModal();
  });
}

/** A button to select all of a list that is on the page. */
export const allButton = () => el("button", { type: "button", class: "small", key: "select-all", "aria-keyshortcuts": "Control+A", onclick: selectAll }, t("Select all on this page"));

/** Tick all that is on the page; returns whether there is anything to tick. */
export function selectAll() {
  const boxes = document.querySelectorAll('#main [data-key^="tick-"]:not(:checked)');
  for (const box of boxes) box.click();
  return boxes.length > 0;
}

let suggesting;

/** Fills the list of known names while the user types. */
export function suggest({ target }) {
  clearTimeout(suggesting);
  suggesting = setTimeout(async () => {
    if (!target.value.trim()) return;
    const found = await get("names", { q: target.value }).catch(() => ({ names: [] }));
    document.getElementById("known").replaceChildren(...found.names.map((name) => el("option", { value: name })));
  }, 150);
}

/** Buttons for the pages of a list. */
export function pager(query, total, limit, to) {
  const offset = Number(query.offset) || 0;
  if (total <= limit && !offset) return null;
  const pages = Math.max(1, Math.ceil(total / limit));
  const page = Math.floor(offset / limit);
  const step = (text, target, key) =>
    el("button", { type: "button", key, disabled: target < 0 || target >= pages || target === page, onclick: () => to({ ...query, offset: target * limit }) }, text);
  return el(
    "nav", { class: "pager", "aria-label": t("Pages of the list") },
    step(tp("page", "First"), 0, "page-first"), step(tp("page", "Previous"), page - 1, "page-previous"),
    el("span", { "aria-current": "page" }, t("Page %(page)s of %(pages)s", { page: number(page + 1), pages: number(pages) })),
    step(tp("page", "Next"), page + 1, "page-next"), step(tp("page", "Last"), pages - 1, "page-last"),
  );
}

/** A drop-down list of [value, text]. */
export function choice(name, key, options, value, onchange) {
  const select = el("select", { key, onchange: ({ target }) => onchange(target.value) });
  for (const [v, text] of options) select.append(el("option", { value: v }, text));
  select.value = value || "";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
  return el("label", {}, el("span", {}, name), select);
}

/** Shows the actions for the selected items; hidden if nothing is selected. */
export function tray(...children) {
  const place = document.getElementById("tray");
  place.hidden = children.length === 0;
  update(place, children.filter(Boolean));
}

/** Buttons to set faces aside. */
export function aside(faces, done = () => {}) {
  const button = (act, text, said) => el("button", { type: "button", class: "small", key: act, onclick: async () => (await app.act({ act, faces: faces() }, `${counted.faces(faces().length)}: ${said}`)) && done() }, text);
  return [button("not-a-face", t("Not a face"), t("not a face")), button("too-unclear", t("Too unclear"), t("too unclear")), button("ignore-face", t("Ignore"), t("ignored"))];
}

/** A field to say whose faces these are: somebody in the list, or a new name. `person`: whom the name is given to, if it is all of them. */
export function giveName(faces, name = "", person = "", done = () => {}) {
  const give = async (field) => {
    const wanted = field.value.trim();
    if (!wanted || wanted === name) return field.focus();
    const action = person ? { act: "name", person, name: wanted } : { act: "give", name: wanted, faces: faces() };
    if (await app.act(action, t("Named %(name)s", { name: wanted }))) done();
  };
  const input = el("input", {
    type: "text", value: name, placeholder: t("Name"), "aria-label": t("Whose face is this?"), list: "known", autocomplete: "off", maxlength: 200, key: `whose-${faces()[0]}`, "data-saved": name,
    oninput: suggest, onkeydown: (event) => { if (event.key === "Enter") give(event.target); }, // a listener that gives false would undo the key
  });
  return el("span", { class: "give" }, input, el("button", { type: "button", key: "give-name-to", onclick: ({ target }) => give(target.previousElementSibling) }, tp("button", "Name")));
}

/** A field and a button to move faces to a person. */
export function moveTo(faces, done) {
  const input = el("input", {
    type: "text", placeholder: t("Name of a person"), "aria-label": t("Name of the person whom these faces show"), list: "known", autocomplete: "off", key: "give-name",
    oninput: suggest, onkeydown: (event) => { if (event.key === "Enter") move(event.target); },
  });
  const move = async (field) => {
    const wanted = field.value.trim().toLocaleLowerCase();
    if (!wanted) return field.focus();
    const to = /^p-[0-9a-f]{8}$/.test(wanted) ? { person: wanted } : { name: field.value.trim() };
    if (await app.act({ act: "give", ...to, faces: faces() }, t("Moved to %(name)s", { name: field.value.trim() }))) done();
  };
  return el("span", { class: "give" }, input, el("button", { type: "button", key: "give", onclick: ({ target }) => move(target.previousElementSibling) }, t("Move to this person or new name")));
}
