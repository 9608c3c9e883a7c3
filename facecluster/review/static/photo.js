// The whole photo with its faces: names, "not a face", "too unclear", "ignore"; the photos before and after it. Keys: ← → and space.

import { get } from "./api.js";
import { app, aside, count, el, giveName, tray } from "./parts.js";

let shown = null; // the answer of the server
let chosen = ""; // the face that the bar is about

const WORDS = { "not-a-face": "not a face", "too-unclear": "too unclear", "ignore-face": "ignored" };

const called = (face) => face.name || WORDS[face.aside] || (face.person ? `Unnamed ${face.person}` : "unknown");

function offer() {
  const face = shown.faces.find((f) => f.id === chosen);
  if (!face) return tray();
  const ignored = () => app.act({ act: "ignore", people: [face.person] }, "Ignored");
  tray(
    el("p", {}, called(face)),
    giveName(() => [face.id], face.name, face.person && !face.name ? face.person : ""),
    ...aside(() => [face.id]),
    face.person && !face.ignored ? el("button", { type: "button", key: "ignore-person", onclick: ignored }, "I don't want to hear of this person") : null,
    face.person ? el("a", { href: `#/person/${face.person}` }, "All photos of this person") : null,
  );
}

function mark(face) {
  const choose = () => {
    chosen = face.id;
    for (const other of document.querySelectorAll(".mark")) other.setAttribute("aria-pressed", other.dataset.id === chosen);
    offer();
  };
  return el(
    "button", { type: "button", class: `mark${face.aside || face.ignored ? " away" : ""}`, "data-id": face.id, "data-box": face.box.join(" "), "aria-pressed": `${face.id === chosen}`, "aria-label": `Face: ${called(face)}`, onclick: choose, onfocus: choose },
    el("span", {}, called(face)),
  );
}

const link = (id, text, key) => (id ? el("a", { href: `#/photo/${id}`, key, "aria-keyshortcuts": key === "next" ? "ArrowRight" : "ArrowLeft" }, text) : el("span", { class: "dim" }, text));

/** ← and → go to the photo before and after, space and Escape back. */
export function key(letter) {
  if (!shown) return false;
  if (letter === " " || letter === "escape") history.back();
  else if (letter === "arrowleft" && shown.previous) app.go(`photo/${shown.previous}`);
  else if (letter === "arrowright" && shown.next) app.go(`photo/${shown.next}`);
  else return false;
  return true;
}

export const leave = () => { shown = null; chosen = ""; };

export async function draw(query, current) {
  const found = await get("photo", { id: query.id });
  if (!current()) return;
  if (shown?.id !== found.id) chosen = found.faces.some((f) => f.id === query.id) ? query.id : "";
  shown = found;
  offer();
  const missing = ({ target }) => {
    target.classList.add("none"); // the faces stay where they would be
    document.getElementById("missing").hidden = false;
  };
  return [
    el("h1", {}, found.taken ? new Date(found.taken).toLocaleString([], { dateStyle: "long", timeStyle: "short" }) : "A photo without a date"),
    el("p", { class: "dim path" }, found.uris[0] + (found.uris.length > 1 ? ` and ${count(found.uris.length - 1, "copy", "copies")}` : "")),
    el("nav", { class: "pager", "aria-label": "Photos" }, link(found.previous, "← Previous", "previous"), el("span", {}, `Photo ${found.at} of ${found.of}`), link(found.next, "Next →", "next")),
    el("p", { class: "note", id: "missing", hidden: !found.gone }, `${found.video ? "Frames of videos are not shown here" : "The photo can't be shown: there is no file that can be read"}: ${found.uris[0]}. Its faces are kept in the store.`),
    el(
      "div", { class: "whole", id: `whole-${found.id}` },
      el("img", { src: `/photo/${encodeURIComponent(found.id)}`, alt: `Photo with ${count(found.faces.length, "face")}`, width: found.width || 400, height: found.height || 300, onerror: missing }),
      ...found.faces.filter((face) => face.box.length).map(mark),
    ),
    el("p", { class: "dim" }, `${count(found.faces.length, "face")}. Choose one to name it, or to say that it is none.`),
  ];
}
