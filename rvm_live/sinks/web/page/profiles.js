// How everything is now, under a name, to be taken again.

import { state } from "./state.js";
import { told, toast } from "./toast.js";
import { say } from "./words.js";

const [panel, chips, form, name] = ["profiles-panel", "profiles", "save-profile", "profile-name"].map((id) => document.getElementById(id));

function draw() {
  panel.hidden = !(state.actions ?? []).includes("profiles") && !state.profiles?.length;
  chips.replaceChildren(
    ...(state.profiles ?? []).map((each) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: each });
      button.addEventListener("click", () => told(state.ask("profiles/take", { name: each })));
      return button;
    }),
  );
}

export function begin() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wished = name.value.trim();
    told(
      state.ask("profiles", { name: wished }).then(() => {
        name.value = "";
        toast(say("saved_profile", { name: wished }));
      }),
    );
  });
  for (const event of ["state", "profiles"]) state.addEventListener(event, draw);
}
