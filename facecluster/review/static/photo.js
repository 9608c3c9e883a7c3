// The whole photo with its faces: names, "not a face", "too unclear", "ignore", a box for a face that was missed; the photos before and after
// it. Keys: ← → and space, D to draw, L for where the model looks.

import { get } from "./api.js";
import { drawing, sketch, startDrawing, stopDrawing } from "./drawing.js";
import { lookOf } from "./looks.js";
import { app, aside, el, giveName, tray } from "./parts.js";
import { moment, number, t, tn, tp } from "./text.js";

let shown = null; // the answer of the server
let chosen = ""; // the face that the bar is about
let every = false; // whether photos without a face are among those before and after

const WORDS = { "not-a-face": t("not a face"), "too-unclear": t("too unclear"), "ignore-face": t("ignored") };

const called = (face) => face.name || WORDS[face.aside] || (face.person ? t("Unnamed %(id)s", { id: face.person }) : tp("face", "unknown"));

function offer() {
  const face = shown.faces.find((f) => f.id === chosen);
  if (!face) return tray();
  const ignored = () => app.act({ act: "ignore", people: [face.person] }, t("Ignored"));
  tray(
    el("p", {}, called(face)),
    giveName(() => [face.id], face.name, face.person && !face.name ? face.person : ""),
    ...aside(() => [face.id]),
    face.person && !face.ignored ? el("button", { type: "button", key: "ignore-person", onclick: ignored }, t("I don't want to hear of this person")) : null,
    ...lookOf(face.id, offer),
    face.person ? el("a", { href: `#/person/${face.person}` }, t("All photos of this person")) : null,
  );
}

function mark(face) {
  const choose = () => {
    chosen = face.id;
    for (const other of document.querySelectorAll(".mark")) other.setAttribute("aria-pressed", other.dataset.id === chosen);
    offer();
  };
  return el(
    "button", { type: "button", class: `mark${face.aside || face.ignored ? " away" : ""}`, "data-id": face.id, "data-box": face.box.join(" "), "aria-pressed": `${face.id === chosen}`, "aria-label": t("Face: %(name)s", { name: called(face) }), onclick: choose, onfocus: choose },
    el("span", {}, called(face)),
  );
}

const address = (id) => `photo/${id}${every ? "?every=1" : ""}`;
const link = (id, text, key) => (id ? el("a", { href: `#/${address(id)}`, key, "aria-keyshortcuts": key === "next" ? "ArrowRight" : "ArrowLeft" }, text) : el("span", { class: "dim" }, text));

const draws = () => startDrawing(shown, (face) => {
  chosen = face;
  app.refresh().then(() => drawing() || document.querySelector("#tray input")?.focus()); // unless the next one is drawn by then
});

/** ← and → go to the photo before and after, space and Escape back; D draws a box, which Escape takes away. */
export function key(letter) {
  if (!shown) return false;
  if (letter === "d" && canDraw()) draws();
  else if (letter === "l" && chosen) document.querySelector("#tray .look")?.click();
  else if (letter === "escape" && drawing()) stopDrawing();
  else if (letter === " " || letter === "escape") history.back();
  else if (letter === "arrowleft" && shown.previous) app.go(address(shown.previous));
  else if (letter === "arrowright" && shown.next) app.go(address(shown.next));
  else return false;
  return true;
}

const canDraw = () => !document.querySelector("#missing:not([hidden])");

export const leave = () => { shown = null; chosen = ""; stopDrawing(); };

export async function draw(query, current) {
  every = Boolean(query.every);
  const found = await get("photo", { id: query.id, every: query.every });
  if (!current()) return;
  if (shown?.id !== found.id) stopDrawing();
  if (shown?.id !== found.id) chosen = found.faces.some((f) => f.id === query.id) ? query.id : "";
  shown = found;
  if (!drawing()) offer();
  const missing = ({ target }) => {
    target.classList.add("none"); // the faces stay where they would be
    document.getElementById("missing").hidden = false;
  };
  return [
    el("h1", {}, found.taken ? moment(new Date(found.taken), { dateStyle: "long", timeStyle: "short" }) : t("A photo without a date")),
    el("p", { class: "dim path" }, found.uris.length > 1 ? tn("%(path)s and %(n)s copy", "%(path)s and %(n)s copies", found.uris.length - 1, { path: found.uris[0] }) : found.uris[0]),
    el("nav", { class: "pager", "aria-label": t("Photos") }, link(found.previous, t("← Previous"), "previous"), el("span", {}, t("Photo %(at)s of %(of)s", { at: number(found.at), of: number(found.of) })), link(found.next, t("Next →"), "next")),
    el("p", { class: "note", id: "missing", hidden: !found.gone }, found.video ? t("Frames of videos are not shown here: %(path)s. Its faces are kept in the store.", { path: found.uris[0] }) : t("The photo can't be shown: there is no file that can be read: %(path)s. Its faces are kept in the store.", { path: found.uris[0] })),
    el(
      "div", { class: `whole${drawing() ? " drawing" : ""}`, id: `whole-${found.id}`, onpointerdown: (event) => canDraw() && sketch(event, draws) },
      el("img", { src: `/photo/${encodeURIComponent(found.id)}`, draggable: "false", alt: tn("Photo with %(n)s face", "Photo with %(n)s faces", found.faces.length), width: found.width || 400, height: found.height || 300, onerror: missing }),
      ...found.faces.filter((face) => face.box.length).map(mark), drawing(),
    ),
    el("p", { class: "dim" }, tn("%(n)s face. Choose one to name it, or to say that it is none.", "%(n)s faces. Choose one to name it, or to say that it is none.", found.faces.length)),
    el(
      "div", { class: "row" },
      el("button", { type: "button", key: "draw", "aria-keyshortcuts": "D", disabled: found.video || found.gone, onclick: draws }, t("Draw a missed face"), el("kbd", {}, "D")),
      el("label", { class: "row" }, el("input", { type: "checkbox", key: "every", checked: every, onchange: ({ target }) => app.go(`photo/${found.id}`, { every: target.checked ? 1 : "" }) }), t("Also photos without a face")),
    ),
  ];
}
