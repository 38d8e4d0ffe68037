// What the program is like now: told by it, asked of it. Every page that is open hears of every change.

import { API } from "./session.js";

class State extends EventTarget {
  controls = {};
  about = {};
  choices = {};
  backgrounds = [];
  recordings = [];
  status = {};
  connected = false;
  #asked = Promise.resolve();
  #events = 0;
  #heard = {};

  listen() {
    const source = new EventSource(`${API}/events`);
    const on = (name, take) =>
      source.addEventListener(name, ({ data }) => {
        take(JSON.parse(data));
        this.#tell(name);
      });
    on("state", (all) => {
      Object.assign(this, all);
      this.connected = true;
    });
    on("controls", (changes) => {
      Object.assign(this.controls, changes);
      this.#events += 1;
      for (const name of Object.keys(changes)) this.#heard[name] = this.#events;
    });
    for (const part of ["choices", "backgrounds", "recordings", "status"]) on(part, (now) => (this[part] = now));
    source.onerror = () => {
      this.connected = false;
      this.#tell("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => this.#again(), 1000);
    };
  }

  /** Change controls; rejects with the reason where one cannot be so. What is in force comes by the events. */
  async set(wishes) {
    const asked = this.#asked.then(() => this.ask("controls", wishes)); // in the order in which it was wished
    this.#asked = asked.catch(() => {});
    const before = this.#events;
    const state = await asked;
    // What events have told meanwhile is newer.
    const silent = (name) => !(this.#heard[name] > before);
    for (const name of Object.keys(wishes)) if (name in state && silent(name)) this.controls[name] = state[name];
    this.#tell("controls");
  }

  /** Post JSON, or a file; resolves to the answer. */
  async ask(path, body = {}) {
    const file = body instanceof Blob;
    const answer = await fetch(`${API}/${path}`, {
      method: "POST",
      headers: { "Content-Type": file ? "application/octet-stream" : "application/json" },
      body: file ? body : JSON.stringify(body),
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.error ?? answer.statusText);
    return told;
  }

  async #again() {
    const answer = await fetch(`${API}/state`).catch(() => null);
    if (answer?.status === 401) this.#tell("refused");
    else this.listen();
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

export const state = new State();
