// The active decisions, newest first; each can be undone.

import { get } from "./api.js";
import { app, count, crop, el, pager, tray } from "./parts.js";

const LIMIT = 60;
const WORDS = {
  draw: "Drew a face", "not-a-face": "Not a face", "too-unclear": "Too unclear", "ignore-face": "Ignored a face", merge: "Merged", split: "Split off", same: "Confirmed as one person", "not-same": "Confirmed as different people", ignore: "Ignored",
};

const born = (d) => (d.date ? `Born ${d.date}` : "Date of birth removed");

export const describe = (d) => (d.act === "born" ? born(d) : d.act === "name" ? (d.name ? `Named ${d.name}` : "Name removed") : d.act === "not-named" ? `Not ${d.name}` : WORDS[d.act] || d.act);

function line(d) {
  const undo = () => app.act({ act: "undo", of: d.id }, `Undone: ${describe(d)}`);
  const time = new Date(d.at);
  return el(
    "li", { "data-id": d.id },
    d.face ? crop(d.face, 48) : null, d.other ? crop(d.other, 48) : null,
    el("span", { class: "grow" }, el("strong", {}, describe(d)), el("span", { class: "dim" }, ` ${count(d.faces, "face")}${d.who && d.act !== "name" ? ` of ${d.who}` : ""}`)),
    el("time", { class: "dim", datetime: d.at }, Number.isNaN(time.getTime()) ? d.at : time.toLocaleString()),
    el("button", { type: "button", class: "small", key: `undo-${d.id}`, "aria-label": `Undo: ${describe(d)}`, onclick: undo }, "Undo"),
  );
}

export async function draw(query, current) {
  const found = await get("history", { ...query, limit: LIMIT });
  if (!current()) return;
  tray();
  return [
    el("h1", {}, "History"),
    el("p", { class: "dim" }, `${count(found.total, "decision")}. All are saved in the store, and 'facecluster cluster' uses them for its next grouping.`),
    el("ol", { class: "history", "aria-label": "Decisions, newest first" }, ...found.decisions.map(line)),
    pager(query, found.total, LIMIT, (next) => app.go("history", next)),
  ];
}
