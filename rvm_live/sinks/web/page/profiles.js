// Several controls at once, under a name that rvm-live.toml or the program gives them.

import { state } from "./state.js";
import { told } from "./toast.js";

const [panel, chips] = ["profiles-panel", "profiles"].map((id) => document.getElementById(id));

function draw() {
  const names = state.choices.profile ?? [];
  panel.hidden = !names.length;
  chips.replaceChildren(
    ...names.map((each) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: each });
      button.setAttribute("aria-pressed", String(each === state.controls.profile));
      button.addEventListener("click", () => told(state.set({ profile: each })));
      return button;
    }),
  );
}

export function begin() {
  for (const event of ["state", "controls", "choices"]) state.addEventListener(event, draw);
}
