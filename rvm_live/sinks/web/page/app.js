// The page: who comes in, what is seen, and what the buttons do.

import * as fields from "./fields.js";
import * as gallery from "./gallery.js";
import { decorate, icon } from "./icons.js";
import * as numbers from "./numbers.js";
import { LivePicture } from "./picture.js";
import * as profiles from "./profiles.js";
import { API, admit, arrive } from "./session.js";
import { state } from "./state.js";
import { told, toast } from "./toast.js";
import { languages, plainly, say, speak, spoken, translate } from "./words.js";

const at = (id) => document.getElementById(id);
const canvas = at("picture");
let ended = false;

translate();
decorate();
at("language").replaceChildren(...languages.map(([code, name]) => new Option(name, code)));
at("language").value = spoken();
at("language").addEventListener("change", () => {
  speak(at("language").value);
  state.dispatchEvent(new Event("words"));
});

// Coming in ---------------------------------------------------------------------------------------------------------

const door = at("door");
door.addEventListener("cancel", (event) => event.preventDefault());

async function comeIn() {
  let wrong = "";
  try {
    await arrive();
  } catch (error) {
    wrong = error.message;
  }
  while (!wrong || !door.open) {
    if (!wrong && (await fetch(`${API}/state`)).ok) return;
    at("door-wrong").textContent = wrong;
    if (!door.open) door.showModal();
    await new Promise((done) => at("door-form").addEventListener("submit", done, { once: true }));
    const given = at("token").value.trim();
    wrong = await admit(given.slice(given.lastIndexOf("#") + 1)).then(
      (role) => (role === "steer" ? "" : say("door_words")),
      (error) => error.message,
    );
  }
}

// The picture -------------------------------------------------------------------------------------------------------

function veil(words) {
  at("veil").classList.toggle("gone", !words);
  at("phase").textContent = words || "";
}

function watch() {
  const live = new LivePicture(canvas, "result");
  window.live = live;
  live.addEventListener("first", () => veil(""));
  live.addEventListener("wiped", () => veil(ended ? say("ended") : say("waiting")));
  live.addEventListener("lost", () => veil(ended ? say("ended") : say("lost")));
  live.addEventListener("size", () => at("frame").style.setProperty("--ratio", canvas.width / canvas.height));
  for (const button of document.querySelectorAll("[data-kind]")) {
    button.addEventListener("click", () => {
      live.show(button.dataset.kind);
      for (const each of document.querySelectorAll("[data-kind]")) each.setAttribute("aria-checked", each === button);
    });
  }
  gallery.arrows(document.querySelector(".segments"), (next) => next.click());
  return live;
}

// Buttons -----------------------------------------------------------------------------------------------------------

function press(button) {
  const name = button.dataset.control;
  told(state.set({ [name]: !state.controls[name] }));
}

async function snapshot() {
  const answer = await fetch(`${API}/snapshot`);
  if (!answer.ok) throw new Error((await answer.json()).error);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `rvm-live-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function act(name, button) {
  if (name === "stop" && !button.dataset.sure) {
    button.dataset.sure = "yes";
    button.textContent = say("action.stop_sure");
    setTimeout(() => {
      delete button.dataset.sure;
      button.textContent = say("action.stop");
    }, 4000);
    return;
  }
  ended = name === "stop" || ended;
  const trigger = state.about[name]?.kind === "trigger";
  const done = trigger ? state.set({ [name]: true }) : state.ask(`actions/${name}`).then(({ told: words }) => words && toast(words));
  told(done);
}

function actions() {
  const names = Object.keys(state.about).filter((name) => state.about[name].kind === "trigger");
  const all = [...new Set([...names, ...(state.actions ?? [])])].filter((name) => name !== "fetch");
  at("actions").replaceChildren(
    ...all.map((name) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "plain" });
      button.dataset.action = name;
      button.textContent = say(`action.${name}`, {}, state.about[name]?.text || plainly(name));
      button.addEventListener("click", () => act(name, button));
      return button;
    }),
  );
  at("fetch").hidden = !(state.actions ?? []).includes("fetch") || (state.choices.engine ?? []).includes("rvm");
}

function show() {
  const { controls } = state;
  for (const button of document.querySelectorAll(".bar [data-control]")) {
    const name = button.dataset.control;
    button.hidden = !(name in controls);
    button.setAttribute("aria-pressed", Boolean(controls[name]));
  }
  const record = at("record");
  record.dataset.label = controls.recording ? "stop_recording" : "record";
  record.replaceChildren(icon(controls.recording ? "stop" : "record"));
  at("paused").replaceChildren(icon(controls.paused ? "play" : "pause"));
  translate(document.querySelector(".bar"));
  canvas.classList.toggle("mirrored", Boolean(controls.mirror));
  at("on-air").hidden = !controls.recording;
  at("hidden-badge").hidden = !controls.privacy;
  at("paused-badge").hidden = !controls.paused;
  at("obs-address").value = state.view_token ? `${location.origin}/obs#${state.view_token}` : "";
  actions();
}

function pulse() {
  const { status } = state;
  at("pulse").classList.toggle("alive", state.connected && status.unique_fps > 0);
  at("fps").textContent = status.unique_fps ? status.unique_fps.toFixed(1) : "–";
  at("pulse-words").textContent = [say("fps"), status.total_ms ? `${Math.round(status.total_ms)} ${say("ms")}` : ""].filter(Boolean).join(" · ");
  const seconds = Math.floor(status.recorded_s ?? 0);
  at("clock").textContent = `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
  if (status.phase && !at("veil").classList.contains("gone")) at("phase").textContent = status.phase;
  at("fetch").textContent = status.fetching || say("fetch");
  at("fetch").disabled = Boolean(status.fetching);
  const messages = status.messages ?? [];
  at("no-messages").hidden = messages.length > 0;
  if (at("messages").dataset.key !== messages.join("\n")) {
    at("messages").dataset.key = messages.join("\n");
    at("messages").replaceChildren(...messages.toReversed().map((words) => Object.assign(document.createElement("li"), { textContent: words })));
  }
}

function recordings() {
  at("no-recordings").hidden = state.recordings.length > 0;
  at("recordings").replaceChildren(
    ...state.recordings.toReversed().map(({ id, name, bytes }) => {
      const link = document.createElement("a");
      link.href = `${API}/recordings/${id}`;
      link.download = name;
      link.setAttribute("aria-label", say("download", { name }));
      link.append(icon("down"), name, Object.assign(document.createElement("small"), { textContent: `${(bytes / 1e6).toFixed(1)} MB` }));
      const item = document.createElement("li");
      item.append(link);
      return item;
    }),
  );
}

// Beginning ---------------------------------------------------------------------------------------------------------

veil(say("waiting"));
await comeIn();
const live = watch();
for (const button of document.querySelectorAll(".bar [data-control]")) button.addEventListener("click", () => press(button));
at("snapshot").addEventListener("click", () => told(snapshot()));
at("fetch").addEventListener("click", () => act("fetch", at("fetch")));
at("copy-obs").addEventListener("click", () => {
  at("obs-address").select();
  told(navigator.clipboard.writeText(at("obs-address").value).then(() => toast(say("copied"))));
});
at("fullscreen").addEventListener("click", () => {
  told(document.fullscreenElement ? document.exitFullscreen() : at("frame").requestFullscreen());
});
gallery.begin();
fields.begin();
profiles.begin();
numbers.begin(() => live.age ?? 0);
for (const name of ["state", "controls", "choices", "words"]) state.addEventListener(name, show);
for (const name of ["state", "status", "words"]) state.addEventListener(name, pulse);
for (const name of ["state", "recordings", "words"]) state.addEventListener(name, recordings);
let wasLost = false;
state.addEventListener("lost", () => {
  if (!wasLost && !ended) toast(say("lost"), { wrong: true });
  wasLost = true;
});
state.addEventListener("state", () => {
  if (wasLost) toast(say("back"));
  wasLost = false;
});
state.addEventListener("refused", () => location.reload());
state.listen();
