// Forgetting a person: what would go is shown first; it is done when the name was typed. It can't be undone.

import { post } from "./api.js";
import { app, count, el, label } from "./parts.js";

const what = (found) => [count(found.forgotten.people, "person", "people"), count(found.forgotten.faces, "face")].join(", ");

async function show(box, person) {
  const found = await post({ act: "forget", person: person.id }).catch(app.fail);
  if (!found) return;
  const forget = async () => {
    if (await app.act({ act: "forget", person: person.id, confirm: input.value }, `Forgotten: ${what(found)}`)) app.go("people");
  };
  const input = el("input", {
    type: "text", placeholder: found.confirm, "aria-label": `Type ${found.confirm} to forget this person`, autocomplete: "off", maxlength: 200,
    onkeydown: (event) => { if (event.key === "Enter") forget(); },
  });
  box.replaceChildren(
    el("p", {}, `${what(found)} would go, with crops, vectors, names, earlier runs and reports in the store. Photos are never touched. This can’t be undone.`),
    ...found.copies.map((copy) => el("p", { class: "dim" }, `A copy outside the store stays: ${copy.kind}, ${copy.where}`)),
    el("p", {}, `To do it, type ${found.confirm}: `, input, el("button", { type: "button", onclick: forget }, "Forget for good")),
  );
  input.focus();
}

/** A part of a person's page that is closed until it is wanted. */
export function forgetting(person) {
  const box = el("div", { key: `forgetting-${person.id}`, "data-own": "" });
  return el(
    "details", { class: "forget", key: `forget-${person.id}`, ontoggle: ({ target }) => { if (target.open) show(target.querySelector("div"), person); } },
    el("summary", {}, `Forget ${label(person)} …`), box,
  );
}
