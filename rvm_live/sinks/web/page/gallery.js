// Backgrounds: pictures of them, one of which is chosen; a slider, a colour, and a place to drop new ones.

import { API } from "./session.js";
import { icon } from "./icons.js";
import { state } from "./state.js";
import { told, toast } from "./toast.js";
import { say } from "./words.js";

const gallery = document.getElementById("gallery");
const file = document.getElementById("file");
const [row, blur, value, lens] = ["blur-row", "blur", "blur-value", "lens"].map((id) => document.getElementById(id));
const drop = document.getElementById("drop");
let drawn = "";

const use = (name) => told(state.set({ background: name }));
const chosen = () => state.controls.background;
const isBlur = (name) => state.backgrounds.find((each) => each.name === name)?.kind === "blur";

/** What is shown: of several blurs one, the one in force. */
function shownOnes() {
  const blurs = state.backgrounds.filter((each) => each.kind === "blur");
  const one = blurs.find((each) => each.name === chosen()) ?? blurs[0];
  return state.backgrounds.filter((each) => each.kind !== "blur" || each === one);
}

function label(each) {
  if (each.kind === "blur") return say("blur");
  if (each.kind === "transparent") return say("transparent");
  return each.kind === "colour" ? each.colour : each.name;
}

function tile(each) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `tile ${each.kind}`;
  button.setAttribute("role", "radio");
  button.dataset.name = each.name;
  if (each.kind === "image" || each.kind === "video") {
    const picture = document.createElement("img");
    picture.loading = "lazy";
    picture.alt = "";
    picture.src = `${API}/backgrounds/${each.id}/thumbnail`;
    picture.onerror = () => picture.remove();
    button.append(picture);
  }
  if (each.kind === "colour") button.style.setProperty("--colour", each.colour);
  if (each.kind === "video") button.append(Object.assign(document.createElement("i"), { className: "moves" }));
  const name = document.createElement("span");
  name.textContent = label(each);
  button.append(name);
  button.addEventListener("click", () => use(each.name));
  return button;
}

function adding() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tile add";
  button.id = "add";
  button.append(icon("plus"));
  button.append(Object.assign(document.createElement("span"), { textContent: say("add_short") }));
  button.title = say("add");
  button.addEventListener("click", () => file.click());
  return button;
}

function picking() {
  const place = document.createElement("label");
  place.className = "tile pick";
  const input = document.createElement("input");
  input.type = "color";
  input.id = "colour";
  input.value = state.backgrounds.find((each) => each.name === chosen())?.colour ?? "#4060c0";
  input.setAttribute("aria-label", say("colour"));
  input.addEventListener("change", () => use(`color:${input.value}`));
  place.append(input, Object.assign(document.createElement("span"), { textContent: say("colour") }));
  return place;
}

function draw() {
  const ones = shownOnes();
  const key = JSON.stringify([ones, say("blur")]);
  if (key !== drawn) {
    drawn = key;
    gallery.replaceChildren(...ones.map(tile), picking(), adding());
  }
  for (const each of gallery.querySelectorAll("[role=radio]")) {
    const on = each.dataset.name === chosen();
    each.setAttribute("aria-checked", on);
    each.tabIndex = on || (!ones.some((one) => one.name === chosen()) && each === gallery.firstChild) ? 0 : -1;
  }
  row.hidden = !isBlur(chosen());
  const now = state.backgrounds.find((each) => each.name === chosen());
  if (now?.strength && document.activeElement !== blur) blur.value = now.strength;
  if (now?.kind === "blur") lens.checked = now.lens ?? false;
  value.textContent = blur.value;
}

/** Arrows go from one choice to the next, as in every group of which one is chosen. */
export function arrows(group, choose) {
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...group.querySelectorAll("[role=radio]")];
    const place = all.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    const next = all[(place + step + all.length) % all.length];
    next.focus();
    choose(next);
  });
}

async function bring(one) {
  if (!one) return;
  toast(say("uploading", { name: one.name }));
  const { name } = await state.ask(`backgrounds?name=${encodeURIComponent(one.name)}`, one);
  toast(say("added", { name }));
  await state.set({ background: name });
}

export function begin() {
  blur.addEventListener("input", () => (value.textContent = blur.value));
  for (const each of [blur, lens]) {
    each.addEventListener("change", () => use(`blur:${lens.checked ? "lens:" : ""}${blur.value}`));
  }
  file.addEventListener("change", () => {
    told(bring(file.files[0]));
    file.value = "";
  });
  arrows(gallery, (next) => next.click());
  let inside = 0;
  const show = (on) => (drop.hidden = !on);
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    inside += 1;
    show(true);
  });
  addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (!inside) show(false);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    show(false);
    told(bring(event.dataTransfer?.files[0]));
  });
  for (const name of ["state", "controls", "backgrounds", "words"]) state.addEventListener(name, draw);
}
