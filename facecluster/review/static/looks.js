// Where the model looks on a face: a picture that the server makes when it is asked for, in the place of the face or beside its actions.

import { app, el } from "./parts.js";

const address = (face) => `/look/${encodeURIComponent(face)}`;

/** Say why there is no picture. */
async function explain(face) {
  const answer = await fetch(address(face)).catch(() => null);
  const said = answer && !answer.ok ? (await answer.json().catch(() => ({}))).error : "";
  app.fail(new Error(said || "The picture of where the model looks can't be shown: try again"));
}

/** Show it in the place of the face's picture, or the face again. */
export function turn(button, image, face) {
  const on = button.getAttribute("aria-pressed") !== "true";
  const set = (pressed) => {
    button.setAttribute("aria-pressed", pressed);
    image.classList.remove("none");
    image.src = pressed ? address(face) : `/crop/${encodeURIComponent(face)}`;
  };
  set(on);
  app.fail(null);
  if (on) image.addEventListener("error", () => image.getAttribute("src") === address(face) && explain(face).then(() => set(false)), { once: true });
}

let on = false; // whether it is shown of the face that is chosen on the page of a photo

/** A button, and the picture of the chosen face while it is pressed. `draw` draws both anew. */
export function lookOf(face, draw) {
  const flip = () => {
    on = !on;
    draw();
  };
  const failed = () => {
    on = false;
    explain(face).then(draw);
  };
  const button = el("button", { type: "button", key: "look", class: "look", "aria-pressed": `${on}`, "aria-keyshortcuts": "L", onclick: flip }, "Where the model looks", el("kbd", {}, "L"));
  const picture = () => el("img", { class: "crop", key: `look-${face}`, src: address(face), alt: "Where the model looks on this face", width: 112, height: 112, onerror: failed });
  return on ? [picture(), button] : [button];
}
