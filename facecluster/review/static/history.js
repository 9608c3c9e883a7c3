// What was decided and holds, the newest first; each can be taken back.

import { get } from "./api.js";
import { app, count, crop, el, pager, tray } from "./parts.js";

const LIMIT = 60;
const WORDS = {
  name: "Called", merge: "Merged", split: "Split off", same: "Said to be one person", "not-same": "Said to be different people", ignore: "Ignored",
};

export const told = (d) => (d.act === "name" ? (d.name ? `Called ${d.name}` : "Name taken away") : WORDS[d.act] || d.act);

function line(d) {
  const undo = () => app.act({ act: "undo", of: d.id }, `Taken back: ${told(d)}`);
  const time = new Date(d.at);
  return el(
    "li", { "data-id": d.id },
    d.face ? crop(d.face, 48) : null, d.other ? crop(d.other, 48) : null,
    el("span", { class: "grow" }, el("strong", {}, told(d)), el("span", { class: "dim" }, ` ${count(d.faces, "face")} ${d.person}`)),
    el("time", { class: "dim", datetime: d.at }, Number.isNaN(time.getTime()) ? d.at : time.toLocaleString()),
    el("button", { type: "button", class: "small", key: `undo-${d.id}`, "aria-label": `Take back: ${told(d)}`, onclick: undo }, "Take back"),
  );
}

export async function draw(query, current) {
  const found = await get("history", { ...query, limit: LIMIT });
  if (!current()) return;
  tray();
  return [
    el("h1", {}, "History"),
    el("p", { class: "dim" }, `${count(found.total, "decision")} hold. They are in the store's decisions.jsonl; 'facecluster cluster' groups by them.`),
    el("ol", { class: "history", "aria-label": "Decisions, the newest first" }, ...found.decisions.map(line)),
    pager(query, found.total, LIMIT, (next) => app.go("history", next)),
  ];
}
