// Keyed updates: elements that stay on the page keep their focus, what is typed in them, and their place.

const keyOf = (node) => (node.nodeType === 1 ? node.dataset.id || node.dataset.key || node.id || "" : "");
const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
const holds = (node) => node.contains(document.activeElement);

/** Make the children of `place` like `wanted`. An element of the same tag and key (data-id, data-key or id) is changed, not replaced. */
export function update(place, wanted) {
  const keyed = new Map();
  for (const node of place.childNodes) if (keyOf(node)) keyed.set(`${node.nodeName} ${keyOf(node)}`, node);
  let next = place.firstChild;
  for (const made of wanted) {
    const key = keyOf(made);
    let node = key ? keyed.get(`${made.nodeName} ${key}`) : null;
    if (!key && next && alike(next, made)) node = next;
    if (!node) {
      place.insertBefore(made, next);
      continue;
    }
    keyed.delete(`${made.nodeName} ${key}`);
    if (node !== next && holds(node)) {
      // an element that is moved loses the focus: what stands before it goes instead, and comes back where it belongs
      while (next !== node) {
        const before = next;
        next = next.nextSibling;
        before.remove();
      }
    }
    if (node === next) next = node.nextSibling;
    else place.insertBefore(node, next);
    change(node, made);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

/** Make a node like another one of its kind, with its listeners (properties on*). What stands in one with data-own is left to itself. */
function change(node, made) {
  if (node.nodeType !== 1) {
    if (node.data !== made.data) node.data = made.data;
    return;
  }
  const untouched = node !== document.activeElement || node.value === node.dataset.saved;
  const sameImage = node.nodeName === "IMG" && node.getAttribute("src") === made.getAttribute("src"); // keeps the class of one that failed
  const kept = (name) => (sameImage && name === "class") || (node.nodeName === "DETAILS" && name === "open"); // what the user opened stays open
  for (const { name } of [...node.attributes]) if (!made.hasAttribute(name) && !kept(name)) node.removeAttribute(name);
  for (const { name, value } of made.attributes) {
    if (node.getAttribute(name) !== value && !kept(name)) node.setAttribute(name, value);
  }
  for (const name of made.listeners || []) node[name] = made[name];
  for (const name of node.listeners || []) if (!(made.listeners || []).includes(name)) node[name] = null;
  node.listeners = made.listeners;
  if ("disabled" in made && node.disabled !== made.disabled) node.disabled = made.disabled;
  if ("checked" in made && node.checked !== made.checked) node.checked = made.checked;
  const value = made.value;
  if (!("own" in node.dataset)) update(node, [...made.childNodes]);
  if ("value" in made && node.value !== value && untouched) node.value = value;
}
