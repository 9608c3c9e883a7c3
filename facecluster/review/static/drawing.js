// A box for a face that the detector missed, drawn on the whole photo with the mouse, a finger, or the arrow keys.

import { app, el, place, tray } from "./parts.js";
import { t } from "./text.js";

const LEAST = 0.01; // shares of the picture, of a side of a box
const START = 0.2; // share of the picture's shorter side, of a box that the keyboard begins with
const MOVED = 6; // px of the screen from which a press is a drag

let photo = null; // the answer of the server
let box = null; // x, y, w, h as shares of the picture; null: nothing is drawn
let done = () => {}; // called with the new face

const within = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box as an element; null if nothing is drawn. */
export function drawing() {
  if (!box) return null;
  const label = t("Box of the face. Arrow keys move it, with Shift they change its size, Enter takes it, Escape takes it away.");
  return el("div", { id: "drawn", tabindex: 0, role: "application", "aria-label": label, "data-box": box.join(" "), onkeydown: press });
}

function show(found) {
  box = found;
  const there = document.getElementById("drawn");
  if (!there) return; // `startDrawing` shows it
  there.dataset.box = box.join(" ");
  place(there);
}

function offer() {
  tray(
    el("p", {}, t("Put the box around the face: drag on the photo, or move it with the arrow keys and change its size with Shift and the arrow keys.")),
    el("button", { type: "button", key: "take", onclick: take }, t("This is a face"), el("kbd", {}, t("Enter"))),
    el("button", { type: "button", key: "leave", onclick: () => { stopDrawing(); app.refresh(); } }, t("Cancel"), el("kbd", {}, t("Esc"))),
  );
}

/** Begin with a box in the middle of the photo; `added` is called with the face_id when it is a face. */
export async function startDrawing(of, added) {
  [photo, done] = [of, added];
  const side = START * Math.min(of.width, of.height);
  const [w, h] = of.width ? [side / of.width, side / of.height] : [START, START];
  box = box || [(1 - w) / 2, (1 - h) / 2, w, h];
  offer();
  for (let tries = 0; tries < 40 && box && !document.getElementById("drawn"); tries += 1) {
    await app.refresh(); // which draws nothing if a later one overtakes it
    if (!document.getElementById("drawn")) await new Promise((done) => { setTimeout(done, 50); });
  }
  if (!box) return;
  show(box);
  document.getElementById("drawn")?.focus();
}

export function stopDrawing() {
  if (!box) return;
  box = null;
  document.getElementById("drawn")?.remove();
  tray();
}

async function take() {
  if (!box) return;
  app.say(t("Looking at the face…"));
  const answer = await app.act({ act: "draw", photo: photo.id, box }, t("A face was added"));
  if (!answer) return;
  stopDrawing();
  done(answer.made[0].face);
}

/** Keys on the box. */
function press(event) {
  const [x, y, w, h] = box;
  const step = event.ctrlKey ? 0.002 : 0.01;
  const [right, down] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] || [0, 0];
  if (event.key === "Enter") take();
  else if (event.key === "Escape") { stopDrawing(); app.refresh(); }
  else if (!right && !down) return;
  else if (event.shiftKey) show([x, y, within(w + right, LEAST, 1 - x), within(h + down, LEAST, 1 - y)]);
  else show([within(x + right, 0, 1 - w), within(y + down, 0, 1 - h), w, h]);
  event.preventDefault();
  event.stopPropagation();
}

/** A press on the photo: a drag draws a box from there, and `begin` starts the drawing if it has not begun. */
export function sketch(event, begin) {
  if (event.button || event.target.closest(".mark") || (event.pointerType === "touch" && !box)) return; // a finger scrolls
  const whole = event.currentTarget;
  const area = whole.querySelector("img").getBoundingClientRect();
  const at = (e) => [within((e.clientX - area.left) / area.width, 0, 1), within((e.clientY - area.top) / area.height, 0, 1)];
  const [from, started] = [at(event), { x: event.clientX, y: event.clientY }];
  let drawn = false;
  const move = (e) => {
    if (!drawn && Math.hypot(e.clientX - started.x, e.clientY - started.y) < MOVED) return;
    const to = at(e);
    const found = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
    if (drawn || box) show(found);
    else { box = found; begin(); }
    drawn = true;
  };
  const end = () => {
    whole.removeEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) whole.removeEventListener(name, end);
    if (drawn && box && Math.min(box[2], box[3]) < LEAST) { stopDrawing(); app.refresh(); }
    else if (drawn) document.getElementById("drawn")?.focus();
  };
  whole.setPointerCapture(event.pointerId);
  whole.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) whole.addEventListener(name, end);
}
