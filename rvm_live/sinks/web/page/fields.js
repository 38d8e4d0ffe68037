// Every control that has no place of its own on the page, as what it is: a list, a switch, a number, something to do.

import { state } from "./state.js";
import { told } from "./toast.js";
import { plainly, say } from "./words.js";

const PLACED = ["background", "recording", "privacy", "paused", "mirror", "profile"];
const FIRST = ["camera", "engine", "quality", "framing"];
const OUTPUTS = ["virtual_camera"];
const places = Object.fromEntries(["fields", "output-fields", "more-fields"].map((id) => [id, document.getElementById(id)]));
let drawn = "";

const kindOf = (name) =>
  state.about[name]?.kind ?? (typeof state.controls[name] === "boolean" ? "switch" : name in state.choices ? "choice" : "text");
const labelOf = (name) => say(`control.${name}`, {}, state.about[name]?.text || plainly(name));

function choiceWords(name, choice) {
  const words = say(`choice.${choice}`, {}, String(choice));
  if (name !== "engine" && name !== "quality") return words;
  const cost = state.status.costs?.[name]?.[choice];
  return `${words} · ${cost ? say("cost", { ms: Math.round(cost) }) : say("cost_unknown")}`;
}

function list(name) {
  const select = document.createElement("select");
  select.addEventListener("change", () => {
    const choice = (state.choices[name] ?? []).find((each) => String(each) === select.value);
    told(state.set({ [name]: choice ?? select.value }));
  });
  return select;
}

function fill(name, select) {
  const choices = [...(state.choices[name] ?? [])];
  select.closest(".field").hidden = !choices.length;
  const now = state.controls[name];
  if (!choices.map(String).includes(String(now))) choices.unshift(now);
  const wanted = choices.map((choice) => [String(choice ?? ""), choice === "" || choice === null ? say("none") : choiceWords(name, choice)]);
  const key = JSON.stringify(wanted);
  if (select.dataset.key !== key && document.activeElement !== select) {
    select.dataset.key = key;
    select.replaceChildren(...wanted.map(([choice, words]) => new Option(words, choice)));
  }
  if (document.activeElement !== select || select.value !== String(now ?? "")) select.value = String(now ?? "");
  select.disabled = choices.length < 2;
}

function toggle(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "switch";
  button.setAttribute("role", "switch");
  button.append(document.createElement("i"));
  button.addEventListener("click", () => told(state.set({ [name]: !state.controls[name] })));
  return button;
}

function number(name) {
  const [least, most] = state.about[name]?.limits ?? [0, 1];
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: least, max: most, step: (most - least) / 100 || "any" });
  input.addEventListener("change", () => told(state.set({ [name]: Number(input.value) })));
  return input;
}

function field(name) {
  const kind = kindOf(name);
  if (kind === "text" && !(state.choices[name]?.length > 0)) return null;
  const place = document.createElement("div");
  place.className = `field ${kind}`;
  const input = kind === "switch" ? toggle(name) : kind === "number" ? number(name) : list(name);
  input.id = `control-${name}`;
  input.dataset.control = name;
  const label = document.createElement("label");
  label.htmlFor = input.id;
  label.textContent = labelOf(name);
  input.setAttribute("aria-label", label.textContent);
  place.append(label, input);
  return place;
}

function where(name) {
  if (FIRST.includes(name)) return "fields";
  return OUTPUTS.includes(name) || state.about[name]?.group === "outputs" ? "output-fields" : "more-fields";
}

function draw() {
  const names = Object.keys(state.controls).filter((name) => !PLACED.includes(name) && kindOf(name) !== "trigger");
  names.sort((one, other) => FIRST.indexOf(one) - FIRST.indexOf(other));
  const key = JSON.stringify([names.map((name) => [name, kindOf(name), labelOf(name)])]);
  if (key !== drawn) {
    drawn = key;
    for (const place of Object.values(places)) place.replaceChildren();
    for (const name of names) {
      const made = field(name);
      if (made) places[where(name)].append(made);
    }
  }
  for (const input of document.querySelectorAll(".field [data-control]")) {
    const name = input.dataset.control;
    const now = state.controls[name];
    if (input.matches("select")) fill(name, input);
    else if (input.matches("button")) input.setAttribute("aria-checked", Boolean(now));
    else if (document.activeElement !== input) input.value = now;
  }
}

export function begin() {
  for (const name of ["state", "controls", "choices", "status", "words"]) state.addEventListener(name, draw);
}
