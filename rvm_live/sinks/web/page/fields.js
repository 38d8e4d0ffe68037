// Every control that has no place of its own on the page, as what it is: a list, a switch, a number, something to do.

import { state } from "./state.js";
import { told } from "./toast.js";
import { plainly, say } from "./words.js";

const PLACED = ["background", "recording", "privacy", "paused", "mirror", "profile"];
const FIRST = ["camera", "engine", "quality", "follow"];
const OUTPUTS = ["virtual_camera"];
const places = Object.fromEntries(["fields", "output-fields", "more-fields"].map((id) => [id, document.getElementById(id)]));
let drawn = "";

const kindOf = (name) => state.about[name]?.kind;
const called = (name, index) => (index === undefined ? name : `${name}-${index}`);
const labelOf = (name, index) => say(`control.${called(name, index)}`, {}, state.about[name]?.text || plainly(name));

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

function number(name, index) {
  const [least, most] = state.about[name].limits ?? [0, 1];
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: least, max: most, step: (most - least) / 100 || "any" });
  input.addEventListener("change", () => {
    const value = Number(input.value);
    const before = state.controls[name];
    // What is wished of the other slider before this is answered has it in it.
    const wish = (state.controls[name] = index === undefined ? value : before.with(index, value));
    const refused = (error) => {
      state.controls[name] = before;
      throw error;
    };
    told(state.set({ [name]: wish }).catch(refused));
  });
  return input;
}

/** @param {number} [index] of a control that is several numbers, each with a slider of its own */
function field(name, index) {
  const kind = kindOf(name);
  if (kind === "text" && !(state.choices[name]?.length > 0)) return null;
  const place = document.createElement("div");
  place.className = `field ${kind}`;
  const input = kind === "switch" ? toggle(name) : kind === "number" ? number(name, index) : list(name);
  input.id = `control-${called(name, index)}`;
  input.dataset.control = name;
  if (index !== undefined) input.dataset.index = index;
  const label = document.createElement("label");
  label.htmlFor = input.id;
  label.textContent = labelOf(name, index);
  input.setAttribute("aria-label", label.textContent);
  place.append(label, input);
  return place;
}

function where(name) {
  if (FIRST.includes(name)) return "fields";
  return OUTPUTS.includes(name) ? "output-fields" : "more-fields";
}

function draw() {
  const names = Object.keys(state.controls).filter((name) => !PLACED.includes(name) && kindOf(name) !== "trigger");
  names.sort((one, other) => FIRST.indexOf(one) - FIRST.indexOf(other));
  const rows = names.flatMap((name) => {
    const now = state.controls[name];
    return Array.isArray(now) ? now.map((_, index) => [name, index]) : [[name]];
  });
  const key = JSON.stringify(rows.map((row) => [row, kindOf(row[0]), labelOf(...row)]));
  if (key !== drawn) {
    drawn = key;
    for (const place of Object.values(places)) place.replaceChildren();
    for (const row of rows) {
      const made = field(...row);
      if (made) places[where(row[0])].append(made);
    }
  }
  for (const input of document.querySelectorAll(".field [data-control]")) {
    const { control: name, index } = input.dataset;
    const now = index === undefined ? state.controls[name] : state.controls[name][index];
    if (input.matches("select")) fill(name, input);
    else if (input.matches("button")) input.setAttribute("aria-checked", Boolean(now));
    else if (document.activeElement !== input) input.value = now;
  }
}

export function begin() {
  for (const name of ["state", "controls", "choices", "status", "words"]) state.addEventListener(name, draw);
}
